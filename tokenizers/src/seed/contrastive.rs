//! The network of the first training stage.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use tessera_layers::{Init, Linear, ParamResult, Params, Trace};

use super::contrastive_config::ContrastiveConfig;
use super::encoder::SeedEncoder;
use crate::quantizers::l2_normalise;

/// An encoder whose Q-Former reads text too, with projections of both to one sphere and a temperature: `vision_proj`, `text_proj`,
/// `temp`.
///
/// Source: arXiv 2307.08041, section 3.1; released code.
#[derive(Module, Debug)]
pub struct SeedContrastive {
    encoder: SeedEncoder,
    vision_proj: Linear,
    text_proj: Linear,
    temp: Param<Tensor<1>>,
}

impl SeedContrastive {
    /// Takes every tensor; `positions` as of [`EvaVit::new`](super::EvaVit::new).
    pub fn new(params: &Params, config: &ContrastiveConfig, positions: usize) -> ParamResult<Self> {
        let (width, common) = (config.encoder.qformer.hidden_size, config.embed_dim);
        let projection = |name: &str| {
            let start = Init::uniform_fan_in(width);
            Linear::with_names(&params.at(name), ["weight", "bias"], width, common, true, start)
        };
        Ok(Self {
            encoder: SeedEncoder::new(params, &config.encoder, positions, true)?,
            vision_proj: projection("vision_proj")?,
            text_proj: projection("text_proj")?,
            temp: params.tensor("temp", [1], Init::Constant(0.07))?,
        })
    }

    pub(super) fn fit_positions(&mut self) {
        self.encoder.fit_positions();
    }

    /// Pictures to causal embeddings.
    pub fn encoder(&self) -> &SeedEncoder {
        &self.encoder
    }

    /// Features `[batch, common width]` of length 1 of causal embeddings `[batch, queries, width]`: of the last query, which alone
    /// has seen all others.
    pub fn image_features(&self, embeddings: Tensor<3>) -> Tensor<2> {
        let [batch, queries, width] = embeddings.dims();
        let last = embeddings.slice([0..batch, queries.saturating_sub(1)..queries]).reshape([batch, width]);
        l2_normalise(self.vision_proj.forward(last))
    }

    /// Hidden states `[batch, words, width]` of texts; `padding` as [`padding_weights`](super::padding_weights) makes it.
    ///
    /// `None` never occurs for a network of [`SeedContrastive::new`].
    pub fn text_hidden(&self, ids: Tensor<2, Int>, padding: Tensor<2>) -> Option<Tensor<3>> {
        self.encoder.qformer().text(ids, padding)
    }

    /// Features `[batch, common width]` of length 1 of hidden states of texts: of the first word, `[CLS]`.
    pub fn text_features(&self, hidden: Tensor<3>) -> Tensor<2> {
        let [batch, _, width] = hidden.dims();
        l2_normalise(self.text_proj.forward(hidden.slice([0..batch, 0..1]).reshape([batch, width])))
    }

    /// What similarities are divided by, `[1]`.
    pub fn temperature(&self) -> Tensor<1> {
        self.temp.val()
    }

    /// The device of the parameters.
    pub fn device(&self) -> Device {
        self.temp.val().device()
    }

    /// Normalised pictures to features, the ViT frozen.
    pub(super) fn embeddings(&self, images: Tensor<4>, trace: &mut Trace) -> Tensor<3> {
        // On no tape, as nothing is to be learnt (burn issue 4970).
        let vision = self.encoder.clone().no_grad().vision(images, trace);
        let vision = self.encoder.normalised(vision, trace);
        self.encoder.look(self.encoder.query_tokens(), vision, self.encoder.is_causal(), trace)
    }
}
