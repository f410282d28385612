//! One layer of a Q-Former.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_layers::{LayerNorm, Linear, ParamResult, Params};
use tessera_shaders::gelu;

use super::attention::{BertAttention, Sight};
use super::sizes::QformerConfig;

/// `LayerNorm(dense(gelu(dense(x))) + x)`.
#[derive(Module, Debug)]
struct FeedForward {
    inner: Linear,
    outer: Linear,
    norm: LayerNorm,
}

impl FeedForward {
    /// Names end in `half`: `_query` of queries, nothing of text.
    fn new(params: &Params, config: &QformerConfig, half: &str) -> ParamResult<Self> {
        let (width, hidden) = (config.hidden_size, config.intermediate_size);
        let output = params.at(format!("output{half}"));
        Ok(Self {
            inner: Linear::new(&params.at(format!("intermediate{half}.dense")), width, hidden, true)?,
            outer: Linear::new(&output.at("dense"), hidden, width, true)?,
            norm: LayerNorm::new(&output.at("LayerNorm"), width, config.layer_norm_eps)?,
        })
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.norm.forward(self.outer.forward(gelu(self.inner.forward(x.clone()))) + x)
    }
}

/// Self-attention, cross-attention in some layers and for queries alone, and a feed-forward of its own for queries and for
/// text; post-norm throughout.
#[derive(Module, Debug)]
pub(super) struct QformerLayer {
    attention: BertAttention,
    cross: Option<BertAttention>,
    query_half: FeedForward,
    text_half: Option<FeedForward>,
}

impl QformerLayer {
    pub fn new(params: &Params, config: &QformerConfig, index: usize, with_text: bool) -> ParamResult<Self> {
        let (width, heads, epsilon) = (config.hidden_size, config.num_attention_heads, config.layer_norm_eps);
        let attention =
            |name: &str, context: usize| BertAttention::new(&params.at(name), [width, context], heads, epsilon);
        let is_cross = index.is_multiple_of(config.cross_attention_freq);
        Ok(Self {
            attention: attention("attention", width)?,
            cross: is_cross.then(|| attention("crossattention", config.encoder_width)).transpose()?,
            query_half: FeedForward::new(params, config, "_query")?,
            text_half: with_text.then(|| FeedForward::new(params, config, "")).transpose()?,
        })
    }

    /// Self-attention of `x`, which sees `context` (itself among it) as `sight` says.
    pub fn attend(&self, x: Tensor<3>, context: Tensor<3>, sight: &Sight) -> Tensor<3> {
        self.attention.forward(x, context, sight)
    }

    /// What queries do after self-attention: cross-attention onto `pictures`, where the layer has it, and feed-forward.
    pub fn finish_queries(&self, x: Tensor<3>, pictures: Tensor<3>) -> Tensor<3> {
        let x = match &self.cross {
            Some(cross) => cross.forward(x, pictures, &Sight::full()),
            None => x,
        };
        self.query_half.forward(x)
    }

    /// What text does after self-attention; `None` if the network was made without its text half.
    pub fn finish_text(&self, x: Tensor<3>) -> Option<Tensor<3>> {
        self.text_half.as_ref().map(|half| half.forward(x))
    }
}
