//! Decoder of a convolutional autoencoder.

use burn::module::Module;
use burn::tensor::Tensor;

use super::level::{Level, Place};
use super::middle::Middle;
use super::{ConvNames, ConvSizes, GROUP_EPSILON};
use crate::{Conv2d, GroupNorm, ParamResult, Params, Trace};

/// Latents to picture, doubling the picture after every level but the finest.
#[derive(Module, Debug)]
pub struct ConvDecoder {
    conv_in: Conv2d,
    middle: Middle,
    /// In the order in which they run, the coarsest first.
    up: Vec<Level>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl ConvDecoder {
    /// Takes a decoder from `inputs` to `outputs` channels. `sizes.groups` divides all of `sizes.widths`, of which there
    /// is at least one.
    pub fn new(
        params: &Params,
        sizes: &ConvSizes,
        [inputs, outputs]: [usize; 2],
        names: &ConvNames,
    ) -> ParamResult<Self> {
        let levels = sizes.widths.len();
        let level = |step: usize| {
            let level = levels - 1 - step;
            let index = if names.up_counts_from_coarsest { step } else { level };
            let place = Place { level, index, inputs: sizes.width(level + 1), resamples: level > 0, names: &names.up };
            Level::new(params, sizes, names, &place)
        };
        let (first, widest) = (sizes.width(0), sizes.widest());
        Ok(Self {
            conv_in: Conv2d::uniform(&params.at("conv_in"), [inputs, widest], 3)?,
            middle: Middle::new(params, sizes, names)?,
            up: (0..levels).map(level).collect::<ParamResult<_>>()?,
            norm_out: GroupNorm::new(&params.at(names.norm_out), first, sizes.groups, GROUP_EPSILON)?,
            conv_out: Conv2d::uniform(&params.at("conv_out"), [first, outputs], 3)?,
        })
    }

    /// `[batch, inputs, h, w] -> [batch, outputs, h f, w f]` with `f = 2^(levels - 1)`, not clamped.
    ///
    /// Reports `conv_in`, `mid_attn`, `mid_block` and `up_block<i>` (doubled; 0 is the coarsest) to `trace`, and
    /// `level<n>.last_res` of each level by its number in the file.
    pub fn forward(&self, latents: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        self.conv_out.forward(self.features(latents, trace)) // [b, outputs, h f, w f]
    }

    /// [`ConvDecoder::forward`] up to what the last convolution is given, `[batch, width, h f, w f]`.
    pub fn features(&self, latents: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        let x = self.conv_in.forward(latents); // [b, widest, h, w]
        trace.see("conv_in", || x.clone());
        let mut x = self.middle.forward(x, trace);
        for (step, up) in self.up.iter().enumerate() {
            x = up.forward(x, trace); // [b, width, h 2^step, w 2^step]
            if let Some(convolution) = &up.resample {
                x = convolution.forward_doubled(x);
            }
            trace.see(format_args!("up_block{step}"), || x.clone());
        }
        self.norm_out.forward_silu(x)
    }

    /// The last convolution.
    pub fn last_layer(&self) -> &Conv2d {
        &self.conv_out
    }
}
