//! One block.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use tessera_layers::{Init, ParamResult, Params, VitBlock, VitNames};
use tessera_shaders::{AttentionMask, masked_attention};
use tessera_tokenizers::quantizers::l2_normalise;
use tessera_tokenizers::vat::TowerConfig;

use crate::cache::KeyValueCache;

/// Epsilon of every layer normalisation.
pub(super) const EPSILON: f64 = 1e-6;

/// A transformer block whose queries and keys may have unit length; a head's scores are then multiplied by `exp(log_scale)`, at most
/// 100, and by nothing else.
#[derive(Module, Debug)]
pub struct ScaleBlock {
    block: VitBlock,
    log_scale: Option<Param<Tensor<1>>>,
}

impl ScaleBlock {
    /// Takes a block under timm's names and, if `qk_norm`, `attn.log_scale [heads]`.
    pub(super) fn new(params: &Params, tower: &TowerConfig, qk_norm: bool) -> ParamResult<Self> {
        let sizes = [tower.dim, tower.heads, tower.hidden()];
        let block = VitBlock::with_names(params, &VitNames::TIMM, sizes, EPSILON)?;
        let start = Init::Constant(4.0_f32.ln());
        let log_scale = || params.at("attn").tensor("log_scale", [tower.heads], start);
        Ok(Self { block, log_scale: qk_norm.then(log_scale).transpose()? })
    }

    /// `[rows, count, width] -> [rows, count, width]`. With a cache the positions follow those that it holds, and are added.
    pub(super) fn forward(&self, x: Tensor<3>, mask: AttentionMask, cache: Option<&mut KeyValueCache>) -> Tensor<3> {
        self.block.forward_with(x, |packed| self.attend(packed, mask, cache))
    }

    fn attend(&self, packed: Tensor<3>, mask: AttentionMask, cache: Option<&mut KeyValueCache>) -> Tensor<3> {
        let ([rows, count, all], heads) = (packed.dims(), self.block.heads());
        let (width, dim) = (all / 3, all / 3 / heads.max(1));
        let part = |index: usize| packed.clone().narrow(2, index * width, width);
        let (q, k, v) = (part(0), part(1), part(2));
        let (q, k, scale) = match &self.log_scale {
            Some(log_scale) => {
                let unit = |x: Tensor<3>| l2_normalise(x.reshape([rows, count, heads, dim]));
                let factors = log_scale.val().clamp_max(100.0_f64.ln()).exp().reshape([1, 1, heads, 1]);
                let flat = |x: Tensor<4>| x.reshape([rows, count, width]);
                (flat(unit(q) * factors), flat(unit(k)), 1.0)
            }
            None => (q, k, 1.0 / (dim as f32).sqrt()),
        };
        let (k, v) = match cache {
            Some(cache) => cache.append(k, v),
            None => (k, v),
        };
        masked_attention(q, k, v, heads, scale, mask)
    }
}
