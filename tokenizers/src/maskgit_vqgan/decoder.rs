//! Decoder of the MaskGIT-VQGAN.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_layers::{Conv2d, GroupNorm, ParamResult, Params, Trace};

use super::config::{EPSILON, GROUPS};
use super::{ResBlock, VqganConfig};

/// Latents to picture, doubling the picture after every level but the last.
#[derive(Module, Debug)]
pub struct VqganDecoder {
    conv_in: Conv2d,
    mid: Vec<ResBlock>,
    /// By level; run from the last to the first.
    up: Vec<UpLevel>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

#[derive(Module, Debug)]
struct UpLevel {
    block: Vec<ResBlock>,
    upsample_conv: Option<Conv2d>,
}

impl VqganDecoder {
    /// Takes `conv_in`, `mid.<i>`, `up.<level>.block.<i>`, `up.<level>.upsample_conv`, `norm_out`, `conv_out`.
    pub fn new(params: &Params, config: &VqganConfig) -> ParamResult<Self> {
        let levels = config.channel_mult.len();
        let widest = config.widest();
        let level = |level: usize| -> ParamResult<UpLevel> {
            let at = params.at("up").at(level);
            let width = config.width(level);
            let inputs = if level + 1 == levels { widest } else { config.width(level + 1) };
            let block = (0..config.num_res_blocks)
                .map(|i| {
                    let inputs = if i == 0 { inputs } else { width };
                    ResBlock::new(&at.at("block").at(i), inputs, width)
                })
                .collect::<ParamResult<_>>()?;
            let upsample = || Conv2d::new(&at.at("upsample_conv"), [width, width], 3, true);
            Ok(UpLevel { block, upsample_conv: (level != 0).then(upsample).transpose()? })
        };
        let first = config.width(0);
        Ok(Self {
            conv_in: Conv2d::new(&params.at("conv_in"), [config.z_channels, widest], 3, true)?,
            mid: (0..config.num_res_blocks)
                .map(|i| ResBlock::new(&params.at("mid").at(i), widest, widest))
                .collect::<ParamResult<_>>()?,
            up: (0..levels).map(level).collect::<ParamResult<_>>()?,
            norm_out: GroupNorm::new(&params.at("norm_out"), first, GROUPS, EPSILON)?,
            conv_out: Conv2d::new(&params.at("conv_out"), [first, config.num_channels], 3, true)?,
        })
    }

    /// `[batch, z, h, w] -> [batch, 3, h * f, w * f]`, not clamped.
    ///
    /// Reports `conv_in`, `mid<i>` and `up<level>` (the highest level runs first) to `trace`.
    pub fn forward(&self, latents: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        let mut x = self.conv_in.forward(latents);
        trace.see("conv_in", || x.clone());
        for (i, block) in self.mid.iter().enumerate() {
            x = block.forward(x);
            trace.see(format_args!("mid{i}"), || x.clone());
        }
        for (level, up) in self.up.iter().enumerate().rev() {
            x = up.block.iter().fold(x, |x, block| block.forward(x));
            if let Some(convolution) = &up.upsample_conv {
                x = convolution.forward_doubled(x);
            }
            trace.see(format_args!("up{level}"), || x.clone());
        }
        self.conv_out.forward(self.norm_out.forward_silu(x))
    }
}
