//! Small planes to large ones.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_layers::conv_autoencoder::{GROUP_EPSILON, ResidualBlock};
use tessera_layers::{Conv2d, GroupNorm, ParamResult, Params, Trace};

use super::VatConfig;

/// A convolution; stages of a residual block and a convolution of the enlarged planes; norm, SiLU, a convolution. Planes do not
/// mix.
///
/// Source: the recipe of Wu et al. 2024, "Direct3D" (arXiv 2405.14832).
#[derive(Module, Debug)]
pub struct PlaneUpsampler {
    conv_in: Conv2d,
    stages: Vec<Stage>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

#[derive(Module, Debug)]
struct Stage {
    res: ResidualBlock,
    up: Conv2d,
}

impl PlaneUpsampler {
    /// Takes `conv_in`, `stages`, `norm_out`, `conv_out`.
    pub(super) fn new(params: &Params, config: &VatConfig) -> ParamResult<Self> {
        let triplane = &config.triplane;
        let (groups, channels) = (triplane.norm_groups, &triplane.channels);
        let (first, last) = (channels.first().copied().unwrap_or(1), channels.last().copied().unwrap_or(1));
        let stages = channels.iter().zip(channels.iter().skip(1)).enumerate().map(|(index, (&inputs, &outputs))| {
            let params = params.at("stages").at(index);
            Ok(Stage {
                res: ResidualBlock::new(&params.at("res"), [inputs, outputs], groups, "skip")?,
                up: Conv2d::uniform(&params.at("up"), [outputs, outputs], 3)?,
            })
        });
        Ok(Self {
            conv_in: Conv2d::uniform(&params.at("conv_in"), [config.decoder.dim, first], 3)?,
            stages: stages.collect::<ParamResult<_>>()?,
            norm_out: GroupNorm::new(&params.at("norm_out"), last, groups, GROUP_EPSILON)?,
            conv_out: Conv2d::uniform(&params.at("conv_out"), [last, triplane.out_channels], 3)?,
        })
    }

    /// `[planes, inputs, r, r] -> [planes, out_channels, R, R]`
    ///
    /// Reports `stage<j>` and `out` to `trace`.
    pub fn forward(&self, planes: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        let mut x = self.conv_in.forward(planes); // [3 b, c0, r, r]
        for (index, stage) in self.stages.iter().enumerate() {
            x = stage.up.forward_doubled(stage.res.forward(x)); // [3 b, c, 2 r, 2 r]
            trace.see(format_args!("stage{index}"), || x.clone());
        }
        let x = self.conv_out.forward(self.norm_out.forward_silu(x)); // [3 b, C, R, R]
        trace.see("out", || x.clone());
        x
    }
}
