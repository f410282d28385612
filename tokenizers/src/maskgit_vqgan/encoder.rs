//! Encoder of the MaskGIT-VQGAN.

use burn::module::Module;
use burn::tensor::ops::AvgPoolOptions;
use burn::tensor::{Tensor, module};
use tessera_layers::{Conv2d, GroupNorm, ParamResult, Params, Trace};

use super::config::{EPSILON, GROUPS};
use super::{ResBlock, VqganConfig};

/// Picture to continuous latents, halving the picture after every level but the last.
#[derive(Module, Debug)]
pub struct VqganEncoder {
    conv_in: Conv2d,
    down: Vec<Vec<ResBlock>>,
    mid: Vec<ResBlock>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl VqganEncoder {
    /// Takes `conv_in`, `down.<level>.block.<i>`, `mid.<i>`, `norm_out` and `conv_out`.
    pub fn new(params: &Params, config: &VqganConfig) -> ParamResult<Self> {
        let blocks = |params: Params, inputs: usize, outputs: usize| {
            (0..config.num_res_blocks)
                .map(|i| ResBlock::new(&params.at(i), if i == 0 { inputs } else { outputs }, outputs))
                .collect::<ParamResult<Vec<_>>>()
        };
        let levels = config.channel_mult.len();
        let widest = config.widest();
        Ok(Self {
            conv_in: Conv2d::new(&params.at("conv_in"), [config.num_channels, config.hidden_channels], 3, false)?,
            down: (0..levels)
                .map(|level| {
                    let inputs = if level == 0 { config.hidden_channels } else { config.width(level - 1) };
                    blocks(params.at("down").at(level).at("block"), inputs, config.width(level))
                })
                .collect::<ParamResult<_>>()?,
            mid: blocks(params.at("mid"), widest, widest)?,
            norm_out: GroupNorm::new(&params.at("norm_out"), widest, GROUPS, EPSILON)?,
            conv_out: Conv2d::new(&params.at("conv_out"), [widest, config.z_channels], 1, true)?,
        })
    }

    /// `[batch, 3, H, W] -> [batch, z, H / f, W / f]`; reports `conv_in`, `down<level>` and `mid<i>` to `trace`.
    pub fn forward(&self, image: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        let mut x = self.conv_in.forward(image);
        trace.see("conv_in", || x.clone());
        for (level, blocks) in self.down.iter().enumerate() {
            x = blocks.iter().fold(x, |x, block| block.forward(x));
            if level + 1 < self.down.len() {
                x = module::avg_pool2d(x, AvgPoolOptions::new([2, 2]));
            }
            trace.see(format_args!("down{level}"), || x.clone());
        }
        for (i, block) in self.mid.iter().enumerate() {
            x = block.forward(x);
            trace.see(format_args!("mid{i}"), || x.clone());
        }
        self.conv_out.forward(self.norm_out.forward_silu(x))
    }
}
