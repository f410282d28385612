//! Attention between the pixels of a feature map.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_shaders::{AttentionMask, masked_attention};

use super::{AttentionNames, GROUP_EPSILON};
use crate::{GroupNorm, Init, Linear, ParamResult, Params};

/// Every pixel attends to all pixels, one head as wide as the map has channels; added to the input.
#[derive(Module, Debug)]
pub struct SpatialAttention {
    norm: GroupNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    scale: f32,
}

impl SpatialAttention {
    /// Takes the tensors that `names` says, for `channels` channels, which `groups` divides.
    pub fn new(params: &Params, channels: usize, groups: usize, names: &AttentionNames) -> ParamResult<Self> {
        let [query, key, value, out] = names.projections;
        let projection = |name: &str| {
            let at = params.at(name);
            if names.is_convolution {
                return Linear::pointwise(&at, channels, channels, true);
            }
            let init = Init::uniform_fan_in(channels);
            Linear::with_names(&at, ["weight", "bias"], channels, channels, true, init)
        };
        Ok(Self {
            norm: GroupNorm::new(&params.at(names.norm), channels, groups, GROUP_EPSILON)?,
            query: projection(query)?,
            key: projection(key)?,
            value: projection(value)?,
            out: projection(out)?,
            scale: 1.0 / (channels as f32).sqrt(),
        })
    }

    /// `[batch, channels, height, width]`, the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let pixels = self.norm.forward(x.clone()).reshape([batch, channels, height * width]).swap_dims(1, 2); // [b, h w, c]
        let (q, k) = (self.query.forward(pixels.clone()), self.key.forward(pixels.clone()));
        let attended = masked_attention(q, k, self.value.forward(pixels), 1, self.scale, AttentionMask::Full);
        let attended = self.out.forward(attended).swap_dims(1, 2); // [b, c, h w]
        x + attended.reshape([batch, channels, height, width])
    }
}
