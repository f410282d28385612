//! Points to a distribution over latents.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use tessera_layers::attention::first_self_attention;
use tessera_layers::{Init, LayerNorm, Linear, ParamResult, Params, Trace, VitBlock, VitNames};

use super::{TowerConfig, VatConfig};

/// How learned tokens start: about as far apart as what stands beside them.
///
/// Versions tried, on a toy of 32 latents, 400 steps without and 400 with the quantizer: a deviation of 0.02, as is customary, leaves
/// tokens so alike that latents collapse (IoU 0.45, 13 codes of 256 in use); 0.1 gives 0.58 and 85; 0.5 gives 0.80 and 127.
pub(super) const TOKENS: Init = Init::Normal(0.5);

/// Epsilon of every layer normalisation.
pub(super) const EPSILON: f64 = 1e-6;

/// Learned latents and point features go through one transformer, and only the latents come out ("in-context" compression).
///
/// Source: arXiv 2412.02202, the encoder.
#[derive(Module, Debug)]
pub struct VatEncoder {
    latents: Param<Tensor<2>>,
    point_proj: Linear,
    blocks: Vec<VitBlock>,
    norm: LayerNorm,
    to_moments: Linear,
}

/// A normal distribution for every value of the latents.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Means `[batch, latents, width]`.
    pub mu: Tensor<3>,
    /// Logarithms of the variances, in -30..=20: `[batch, latents, width]`.
    pub logvar: Tensor<3>,
}

impl Moments {
    /// Of means and raw logarithms of variances, which are clamped.
    pub fn new(mu: Tensor<3>, logvar: Tensor<3>) -> Self {
        Self { mu, logvar: logvar.clamp(-30.0, 20.0) }
    }

    /// Latents of standard normal `noise` of the same shape.
    pub fn sample(&self, noise: Tensor<3>) -> Tensor<3> {
        self.mu.clone() + self.logvar.clone().mul_scalar(0.5).exp() * noise
    }

    /// Kullback-Leibler divergence from the standard normal distribution in nats, the mean over all values, `[1]`.
    pub fn kl(&self) -> Tensor<1> {
        let terms = self.mu.clone().square() + self.logvar.clone().exp() - 1.0 - self.logvar.clone();
        terms.mul_scalar(0.5).mean()
    }
}

/// A linear layer that starts uniform in one over the root of its inputs, as PyTorch's does.
pub(super) fn linear(params: &Params, inputs: usize, outputs: usize) -> ParamResult<Linear> {
    Linear::with_names(params, ["weight", "bias"], inputs, outputs, true, Init::uniform_fan_in(inputs))
}

/// The blocks of a tower.
pub(super) fn blocks(params: &Params, tower: &TowerConfig) -> ParamResult<Vec<VitBlock>> {
    let sizes = [tower.dim, tower.heads, tower.hidden()];
    (0..tower.depth).map(|block| VitBlock::with_names(&params.at(block), &VitNames::TIMM, sizes, EPSILON)).collect()
}

/// The same rows `[rows, width]` for each of `batch` items.
pub(super) fn repeated(rows: &Param<Tensor<2>>, batch: usize) -> Tensor<3> {
    rows.val().unsqueeze::<3>().repeat_dim(0, batch)
}

impl VatEncoder {
    /// Takes `latents`, `point_proj`, `blocks`, `norm`, `to_moments`.
    pub(super) fn new(params: &Params, config: &VatConfig) -> ParamResult<Self> {
        let width = config.encoder.dim;
        Ok(Self {
            latents: params.tensor("latents", [config.num_latents, width], TOKENS)?,
            point_proj: linear(&params.at("point_proj"), config.input.features(), width)?,
            blocks: blocks(&params.at("blocks"), &config.encoder)?,
            norm: LayerNorm::new(&params.at("norm"), width, EPSILON)?,
            to_moments: linear(&params.at("to_moments"), width, 2 * config.latent_dim)?,
        })
    }

    /// Point features `[batch, n, features]` to moments. The order of the points says nothing.
    ///
    /// In the last block only the latents ask, as nothing else is kept of it; where `trace` watches, everything does. Reports
    /// `tokens_in`, `block<i>` and `out` to it.
    pub fn forward(&self, features: Tensor<3>, trace: &mut Trace) -> Moments {
        let ([batch, ..], [count, _]) = (features.dims(), self.latents.dims());
        let mut x = Tensor::cat(vec![repeated(&self.latents, batch), self.point_proj.forward(features)], 1);
        trace.see("tokens_in", || x.clone());
        for (index, block) in self.blocks.iter().enumerate() {
            let is_last = index + 1 == self.blocks.len();
            x = match is_last && !trace.is_watched() {
                true => block.forward_with(x, |qkv| first_self_attention(qkv, block.heads(), count)),
                false => block.forward(x),
            };
            trace.see(format_args!("block{index}"), || x.clone());
        }
        let x = self.norm.forward(x.narrow(1, 0, count)); // [b, latents, width]
        trace.see("out", || x.clone());
        let moments = self.to_moments.forward(x);
        let [_, _, both] = moments.dims();
        Moments::new(moments.clone().narrow(2, 0, both / 2), moments.narrow(2, both / 2, both / 2))
    }
}
