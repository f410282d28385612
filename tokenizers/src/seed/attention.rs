//! BERT's attention.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_layers::{LayerNorm, Linear, ParamResult, Params};
use tessera_shaders::{AttentionMask, masked_attention, weighted_attention};

/// What queries see.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    /// Which keys by their place.
    pub mask: AttentionMask,
    /// What is added to the scores of each key, `[batch, keys]`: 0, or a large negative number where it is padding.
    pub padding: Option<Tensor<2>>,
}

impl Sight {
    /// All keys.
    pub fn full() -> Self {
        Self { mask: AttentionMask::Full, padding: None }
    }
}

/// `LayerNorm(dense(attention(query(x), key(context), value(context))) + x)`.
///
/// Names: `self.query`, `self.key`, `self.value`, `output.dense`, `output.LayerNorm`.
#[derive(Module, Debug)]
pub(super) struct BertAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    dense: Linear,
    norm: LayerNorm,
    heads: usize,
}

impl BertAttention {
    pub fn new(params: &Params, [width, context]: [usize; 2], heads: usize, epsilon: f64) -> ParamResult<Self> {
        let (inner, output) = (params.at("self"), params.at("output"));
        Ok(Self {
            query: Linear::new(&inner.at("query"), width, width, true)?,
            key: Linear::new(&inner.at("key"), context, width, true)?,
            value: Linear::new(&inner.at("value"), context, width, true)?,
            dense: Linear::new(&output.at("dense"), width, width, true)?,
            norm: LayerNorm::new(&output.at("LayerNorm"), width, epsilon)?,
            heads,
        })
    }

    /// `x [batch, queries, width]` looking at `context [batch, keys, ...]`.
    pub fn forward(&self, x: Tensor<3>, context: Tensor<3>, sight: &Sight) -> Tensor<3> {
        let [_, _, width] = x.dims();
        let q = self.query.forward(x.clone());
        let (k, v) = (self.key.forward(context.clone()), self.value.forward(context));
        let scale = 1.0 / ((width / self.heads.max(1)) as f32).sqrt();
        let attended = match &sight.padding {
            Some(padding) => weighted_attention(q, k, v, padding.clone(), self.heads, scale, sight.mask),
            None => masked_attention(q, k, v, self.heads, scale, sight.mask),
        };
        self.norm.forward(self.dense.forward(attended) + x)
    }
}
