//! Latents to three small planes.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use tessera_layers::{LayerNorm, Linear, ParamResult, Params, Trace, VitBlock};

use super::VatConfig;
use super::encoder::{EPSILON, TOKENS, blocks, linear, repeated};

/// Latents and learned plane tokens go through one transformer, and only the plane tokens come out.
///
/// Source: arXiv 2412.02202, the decoder.
#[derive(Module, Debug)]
pub struct VatDecoder {
    latent_proj: Linear,
    latent_pos: Param<Tensor<2>>,
    plane_tokens: Param<Tensor<2>>,
    blocks: Vec<VitBlock>,
    norm: LayerNorm,
    side: usize,
}

impl VatDecoder {
    /// Takes `latent_proj`, `latent_pos`, `plane_tokens`, `blocks`, `norm`.
    pub(super) fn new(params: &Params, config: &VatConfig) -> ParamResult<Self> {
        let (width, side) = (config.decoder.dim, config.decoder.plane_tokens);
        Ok(Self {
            latent_proj: linear(&params.at("latent_proj"), config.latent_dim, width)?,
            latent_pos: params.tensor("latent_pos", [config.num_latents, width], TOKENS)?,
            plane_tokens: params.tensor("plane_tokens", [3 * side * side, width], TOKENS)?,
            blocks: blocks(&params.at("blocks"), &config.decoder.tower())?,
            norm: LayerNorm::new(&params.at("norm"), width, EPSILON)?,
            side,
        })
    }

    /// Sums of codes `[batch, latents, width]` to planes `[3 batch, channels, side, side]`, the three of an item together.
    ///
    /// Reports `tokens_in`, `block<i>` and `planes_lowres` to `trace`.
    pub fn forward(&self, latents: Tensor<3>, trace: &mut Trace) -> Tensor<4> {
        let [batch, count, _] = latents.dims();
        let latents = self.latent_proj.forward(latents) + self.latent_pos.val().unsqueeze::<3>();
        let mut x = Tensor::cat(vec![latents, repeated(&self.plane_tokens, batch)], 1);
        trace.see("tokens_in", || x.clone());
        for (index, block) in self.blocks.iter().enumerate() {
            x = block.forward(x);
            trace.see(format_args!("block{index}"), || x.clone());
        }
        let ([_, _, width], side) = (x.dims(), self.side);
        let planes = self.norm.forward(x.narrow(1, count, 3 * side * side)); // [b, 3 side side, width]
        let planes = planes.reshape([3 * batch, side, side, width]).permute([0, 3, 1, 2]);
        trace.see("planes_lowres", || planes.clone());
        planes
    }
}
