//! The Q-Former: learned queries that look at pictures, and the same network reading text.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use tessera_layers::{Init, LayerNorm, ParamResult, Params, Trace};
use tessera_shaders::AttentionMask;

use super::attention::Sight;
use super::qformer_layer::QformerLayer;
use super::sizes::QformerConfig;

/// What is added to the scores of padding. BERT's number: a large one, not infinity, so that a text of padding alone stays finite.
const PADDING: f32 = -10_000.0;

/// A BERT whose positions are queries or words.
///
/// Queries have neither positions nor types; with `causal` each sees itself and those before it, so that a prefix of them gives
/// the first rows of the whole. Names: `bert.embeddings`, `bert.encoder.layer.{i}`.
///
/// Source: Li et al. 2023, "BLIP-2" (arXiv 2301.12597); the causal mask: arXiv 2307.08041, section 3.1.
#[derive(Module, Debug)]
pub struct Qformer {
    norm: LayerNorm,
    words: Option<Param<Tensor<2>>>,
    places: Option<Param<Tensor<2>>>,
    layers: Vec<QformerLayer>,
}

/// Hidden states of queries and text that saw one another.
#[derive(Debug, Clone)]
pub struct Joint {
    /// `[batch, queries, width]`.
    pub queries: Tensor<3>,
    /// `[batch, words, width]`.
    pub text: Tensor<3>,
}

impl Qformer {
    /// Takes every tensor; those of the text half only `with_text`.
    pub fn new(params: &Params, config: &QformerConfig, with_text: bool) -> ParamResult<Self> {
        let (embeddings, layers) = (params.at("bert.embeddings"), params.at("bert.encoder.layer"));
        let table = |name: &str, rows: usize| {
            let shape = [rows, config.hidden_size];
            with_text.then(|| embeddings.tensor(name, shape, Init::Normal(0.02))).transpose()
        };
        Ok(Self {
            words: table("word_embeddings.weight", config.vocab_size)?,
            places: table("position_embeddings.weight", config.max_position_embeddings)?,
            norm: LayerNorm::new(&embeddings.at("LayerNorm"), config.hidden_size, config.layer_norm_eps)?,
            layers: (0..config.num_hidden_layers)
                .map(|index| QformerLayer::new(&layers.at(index), config, index, with_text))
                .collect::<ParamResult<_>>()?,
        })
    }

    /// Queries `[batch, queries, width]` that look at `pictures [batch, positions, encoder width]`: `[batch, queries, width]`.
    ///
    /// Reports `embeddings` and `layer{i}` to `trace`.
    pub fn queries(&self, queries: Tensor<3>, pictures: Tensor<3>, causal: bool, trace: &mut Trace) -> Tensor<3> {
        let mask = if causal { AttentionMask::Causal } else { AttentionMask::Full };
        let sight = Sight { mask, padding: None };
        let mut x = self.norm.forward(queries);
        trace.see("embeddings", || x.clone());
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.finish_queries(layer.attend(x.clone(), x, &sight), pictures.clone());
            trace.see(format!("layer{index}"), || x.clone());
        }
        x
    }

    /// Hidden states `[batch, words, width]` of texts alone: word ids and padding `[batch, words]`, as [`padding_weights`] makes it.
    /// Every word sees every other. `None` if the network was made without its text half.
    pub fn text(&self, ids: Tensor<2, Int>, padding: Tensor<2>) -> Option<Tensor<3>> {
        let sight = Sight { mask: AttentionMask::Full, padding: Some(padding) };
        let mut x = self.norm.forward(self.embed(ids)?);
        for layer in &self.layers {
            x = layer.finish_text(layer.attend(x.clone(), x, &sight))?;
        }
        Some(x)
    }

    /// Queries and text together, as matching trains them: queries see text and, with `causal`, only the queries up to
    /// themselves; text sees everything. `None` if the network was made without its text half.
    pub fn joint(
        &self,
        queries: Tensor<3>,
        pictures: Tensor<3>,
        ids: Tensor<2, Int>,
        padding: Tensor<2>,
        causal: bool,
    ) -> Option<Joint> {
        let [batch, count, _] = queries.dims();
        // Text stands first, so that what a query sees is always the first so many keys.
        let open = Tensor::zeros([batch, count], &queries.device());
        let padding = Some(Tensor::cat(vec![padding, open], 1));
        let all = Sight { mask: AttentionMask::Full, padding };
        let ordered = if causal { Sight { mask: AttentionMask::Causal, ..all.clone() } } else { all.clone() };
        let (mut text, mut queries) = (self.norm.forward(self.embed(ids)?), self.norm.forward(queries));
        for layer in &self.layers {
            let context = Tensor::cat(vec![text.clone(), queries.clone()], 1);
            text = layer.finish_text(layer.attend(text, context.clone(), &all))?;
            queries = layer.finish_queries(layer.attend(queries, context, &ordered), pictures.clone());
        }
        Some(Joint { queries, text })
    }

    /// Word and position vectors of `ids [batch, words]`.
    fn embed(&self, ids: Tensor<2, Int>) -> Option<Tensor<3>> {
        let (words, places) = (self.words.as_ref()?.val(), self.places.as_ref()?.val());
        let ([batch, length], [_, width]) = (ids.dims(), words.dims());
        let vectors = words.select(0, ids.reshape([batch * length])).reshape([batch, length, width]);
        Some(vectors + places.slice([0..length, 0..width]).unsqueeze::<3>())
    }

    /// Longest text; `None` without a text half.
    pub fn longest_text(&self) -> Option<usize> {
        self.places.as_ref().map(|places| places.lazy_shape()[0])
    }

    /// Words; `None` without a text half.
    pub fn vocabulary(&self) -> Option<usize> {
        self.words.as_ref().map(|words| words.lazy_shape()[0])
    }
}

/// What [`Qformer::text`] takes for a mask `[batch, words]` that is true where a word stands and false where padding does.
pub fn padding_weights(mask: &[bool], shape: [usize; 2], device: &Device) -> Tensor<2> {
    let weights: Vec<f32> = mask.iter().map(|&stands| if stands { 0.0 } else { PADDING }).collect();
    Tensor::from_data(TensorData::new(weights, shape), device)
}
