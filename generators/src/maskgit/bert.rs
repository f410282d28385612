//! The BERT encoder ("ImageBert"): post-norm blocks, exact GELU, epsilon 1e-12.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use tessera_layers::attention::packed_self_attention;
use tessera_layers::{Init, LayerNorm, Linear, ParamResult, Params, Trace};
use tessera_shaders::gelu;

use super::MaskGitConfig;

const EPSILON: f64 = 1e-12;

/// Embeddings, blocks and the head over the codes, under `model`.
#[derive(Module, Debug)]
pub struct Bert {
    word_embeddings: Param<Tensor<2>>,
    position_embeddings: Param<Tensor<2>>,
    token_type_embeddings: Param<Tensor<2>>,
    norm: LayerNorm,
    layer: Vec<BertLayer>,
    lm_head: Linear,
}

#[derive(Module, Debug)]
struct BertLayer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
    heads: usize,
}

impl Bert {
    /// Takes every tensor of the released file.
    pub fn new(params: &Params, config: &MaskGitConfig) -> ParamResult<Self> {
        let model = params.at("model");
        let embeddings = model.at("embeddings");
        let width = config.hidden_size;
        let table = |name: &str, rows: usize| embeddings.at(name).tensor("weight", [rows, width], Init::Normal(0.02));
        Ok(Self {
            word_embeddings: table("word_embeddings", config.vocabulary())?,
            position_embeddings: table("position_embeddings", config.image_seq_len + 1)?,
            token_type_embeddings: table("token_type_embeddings", 2)?,
            norm: LayerNorm::new(&embeddings.at("LayerNorm"), width, EPSILON)?,
            layer: (0..config.num_hidden_layers)
                .map(|i| BertLayer::new(&model.at("encoder.layer").at(i), config))
                .collect::<ParamResult<_>>()?,
            lm_head: Linear::new(&model.at("lm_head"), width, config.codebook_size, true)?,
        })
    }

    /// Ids `[batch, 1 + positions]`, the class first, to logits `[batch, positions, codes]`.
    pub fn forward(&self, ids: Tensor<2, Int>, trace: &mut Trace) -> Tensor<3> {
        let [batch, length] = ids.dims();
        let words = self.word_embeddings.val();
        let [_, width] = words.dims();
        let words = words.select(0, ids.reshape([batch * length])).reshape([batch, length, width]);
        let positions = self.position_embeddings.val().slice([0..length]);
        let token_type = self.token_type_embeddings.val().slice([0..1]);
        let mut x = self.norm.forward(words + (positions + token_type).unsqueeze::<3>());
        trace.see("embeddings", || x.clone());
        for (i, layer) in self.layer.iter().enumerate() {
            x = layer.forward(x);
            trace.see(format_args!("block{i}"), || x.clone());
        }
        self.lm_head.forward(x.slice([0..batch, 1..length]))
    }
}

impl BertLayer {
    fn new(params: &Params, config: &MaskGitConfig) -> ParamResult<Self> {
        let width = config.hidden_size;
        let hidden = config.intermediate_size;
        let attention = params.at("attention");
        let projection = |name: &str| Linear::new(&attention.at("self").at(name), width, width, true);
        Ok(Self {
            query: projection("query")?,
            key: projection("key")?,
            value: projection("value")?,
            attention_output: Linear::new(&attention.at("output.dense"), width, width, true)?,
            attention_norm: LayerNorm::new(&attention.at("output.LayerNorm"), width, EPSILON)?,
            intermediate: Linear::new(&params.at("intermediate.dense"), width, hidden, true)?,
            output: Linear::new(&params.at("output.dense"), hidden, width, true)?,
            output_norm: LayerNorm::new(&params.at("output.LayerNorm"), width, EPSILON)?,
            heads: config.num_attention_heads,
        })
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let projections = [&self.query, &self.key, &self.value].map(|layer| layer.forward(x.clone()));
        let attended = packed_self_attention(Tensor::cat(projections.to_vec(), 2), self.heads);
        let x = self.attention_norm.forward(self.attention_output.forward(attended) + x);
        let hidden = gelu(self.intermediate.forward(x.clone()));
        self.output_norm.forward(self.output.forward(hidden) + x)
    }
}
