//! Encoder of a convolutional autoencoder.

use burn::module::Module;
use burn::tensor::Tensor;

use super::level::{Level, Place};
use super::middle::Middle;
use super::{ConvNames, ConvSizes, GROUP_EPSILON};
use crate::{Conv2d, GroupNorm, ParamResult, Params, Trace};

/// Picture to latents, halving the picture after every level but the last.
#[derive(Module, Debug)]
pub struct ConvEncoder {
    conv_in: Conv2d,
    down: Vec<Level>,
    middle: Middle,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl ConvEncoder {
    /// Takes an encoder from `inputs` to `outputs` channels. `sizes.groups` divides all of `sizes.widths`, of which there
    /// is at least one.
    pub fn new(
        params: &Params,
        sizes: &ConvSizes,
        [inputs, outputs]: [usize; 2],
        names: &ConvNames,
    ) -> ParamResult<Self> {
        let (levels, stem) = (sizes.widths.len(), sizes.stem.unwrap_or(sizes.width(0)));
        let level = |level: usize| {
            let inputs = if level == 0 { stem } else { sizes.width(level - 1) };
            let place = Place { level, index: level, inputs, resamples: level + 1 < levels, names: &names.down };
            Level::new(params, sizes, names, &place)
        };
        let widest = sizes.widest();
        Ok(Self {
            conv_in: Conv2d::uniform(&params.at("conv_in"), [inputs, stem], 3)?,
            down: (0..levels).map(level).collect::<ParamResult<_>>()?,
            middle: Middle::new(params, sizes, names)?,
            norm_out: GroupNorm::new(&params.at(names.norm_out), widest, sizes.groups, GROUP_EPSILON)?,
            conv_out: Conv2d::uniform(&params.at("conv_out"), [widest, outputs], 3)?,
        })
    }

    /// How many pixels wide a latent is: `f = 2^(levels - 1)`.
    pub fn downsampling(&self) -> usize {
        1 << self.down.len().saturating_sub(1)
    }

    /// `[batch, inputs, H, W] -> [batch, outputs, H / f, W / f]` with `f = 2^(levels - 1)`; each halving rounds down.
    ///
    /// Reports `conv_in`, `down_block<level>` (halved), `mid_attn`, `mid_block` and `out` to `trace`, and
    /// `level<n>.last_res` of each level by its number in the file.
    pub fn forward(&self, image: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        let mut x = self.conv_in.forward(image); // [b, stem, H, W]
        trace.see("conv_in", || x.clone());
        for (level, down) in self.down.iter().enumerate() {
            x = down.forward(x, trace); // [b, widths[level], H / 2^level, W / 2^level]
            if let Some(convolution) = &down.resample {
                x = convolution.forward_halved(x);
            }
            trace.see(format_args!("down_block{level}"), || x.clone());
        }
        let x = self.middle.forward(x, trace); // [b, widest, H / f, W / f]
        let x = self.conv_out.forward(self.norm_out.forward_silu(x)); // [b, outputs, H / f, W / f]
        trace.see("out", || x.clone());
        x
    }
}
