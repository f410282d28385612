//! Pictures to causal embeddings.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use tessera_layers::{Init, LayerNorm, ParamResult, Params, Trace};

use super::config::EncoderConfig;
use super::eva_vit::EvaVit;
use super::qformer::Qformer;
use crate::dct;

/// ViT, its normalisation, and learned queries through the causal Q-Former, under `visual_encoder`, `ln_vision`, `query_tokens`
/// and `Qformer`. Frozen in the second training stage.
#[derive(Module, Debug)]
pub struct SeedEncoder {
    visual_encoder: EvaVit,
    ln_vision: LayerNorm,
    query_tokens: Param<Tensor<3>>,
    qformer: Qformer,
    causal: bool,
    /// Cells along a side of the ViT's grid, where queries start from a mix of them.
    mixed: Option<usize>,
}

impl SeedEncoder {
    /// Takes every tensor, those of the Q-Former's text half only `with_text`; `positions` as of [`EvaVit::new`].
    pub fn new(params: &Params, config: &EncoderConfig, positions: usize, with_text: bool) -> ParamResult<Self> {
        let shape = [1, config.num_query_token, config.qformer.hidden_size];
        // As large as what is mixed in, so that the normalisation behind keeps the mix's strength.
        let start = if config.query_mix.is_some() { Init::Normal(1.0) } else { Init::Normal(0.02) };
        Ok(Self {
            visual_encoder: EvaVit::new(&params.at("visual_encoder"), &config.vit, positions)?,
            ln_vision: LayerNorm::new(&params.at("ln_vision"), config.vit.embed_dim, config.ln_vision_eps)?,
            query_tokens: params.tensor("query_tokens", shape, start)?,
            qformer: Qformer::new(&params.at("Qformer"), &config.qformer, with_text)?,
            causal: config.causal,
            mixed: config.query_mix.map(|_| config.vit.grid()),
        })
    }

    pub(super) fn fit_positions(&mut self) {
        self.visual_encoder.fit_positions();
    }

    /// Normalised pictures `[batch, channels, side, side]` to the ViT's output `[batch, 1 + patches, vit width]`.
    ///
    /// Reports what [`EvaVit::forward`] does to `trace`.
    pub fn vision(&self, images: Tensor<4>, trace: &mut Trace) -> Tensor<3> {
        self.visual_encoder.forward(images, trace)
    }

    /// The normalisation behind the ViT. Reports `ln_vision` to `trace`.
    pub fn normalised(&self, vision: Tensor<3>, trace: &mut Trace) -> Tensor<3> {
        let normalised = self.ln_vision.forward(vision);
        trace.see("ln_vision", || normalised.clone());
        normalised
    }

    /// Queries `[1, queries, width]` that look at normalised vision `[batch, positions, vit width]`: `[batch, queries, width]`.
    ///
    /// With `causal`, the first `m` queries alone give the first `m` rows of what all give. Reports `qformer.embeddings`,
    /// `qformer.layer{i}` and `causal_embeddings` to `trace`.
    pub fn look(&self, queries: Tensor<3>, vision: Tensor<3>, causal: bool, trace: &mut Trace) -> Tensor<3> {
        let ([batch, ..], [_, count, width]) = (vision.dims(), queries.dims());
        let queries = queries.expand([batch, count, width]);
        let embeddings = self.qformer.queries(queries, vision, causal, &mut trace.at("qformer"));
        trace.see("causal_embeddings", || embeddings.clone());
        embeddings
    }

    /// Normalised pictures `[batch, channels, side, side]` to causal embeddings `[batch, queries, width]`.
    ///
    /// Reports everything to `trace`.
    pub fn forward(&self, images: Tensor<4>, trace: &mut Trace) -> Tensor<3> {
        let vision = self.vision(images, trace);
        let vision = self.normalised(vision, trace);
        self.embeddings(vision, trace)
    }

    /// Normalised vision `[batch, positions, vit width]` to causal embeddings, with `query_mix` where the model has it: it is added
    /// to the queries, and once more, as means in place of sums, to what comes of them.
    ///
    /// Reports what [`SeedEncoder::look`] does to `trace`.
    pub fn embeddings(&self, vision: Tensor<3>, trace: &mut Trace) -> Tensor<3> {
        let queries = self.query_tokens.val();
        let (Some(mix), Some(grid)) = (self.mix(&vision), self.mixed) else {
            return self.look(queries, vision, self.causal, trace);
        };
        let seen = self.look(queries + mix.clone(), vision, self.causal, trace);
        seen + mix.div_scalar(grid as f32)
    }

    /// The mixes of each picture's patches, `[batch, queries, width]`; `None` of a model without `query_mix`.
    pub fn mix(&self, vision: &Tensor<3>) -> Option<Tensor<3>> {
        let (grid, [_, count, _]) = (self.mixed?, self.query_tokens.val().dims());
        let ([batch, positions, width], cells) = (vision.dims(), grid * grid);
        let patches = vision.clone().slice([0..batch, positions.saturating_sub(cells)..positions, 0..width]);
        let mix = dct::matrix(count, [grid, grid], &vision.device()).unsqueeze::<3>().expand([batch, count, cells]);
        Some(mix.matmul(patches))
    }

    /// The learned queries `[1, queries, width]`.
    pub fn query_tokens(&self) -> Tensor<3> {
        self.query_tokens.val()
    }

    /// The Q-Former.
    pub fn qformer(&self) -> &Qformer {
        &self.qformer
    }

    /// Whether [`SeedEncoder::forward`] is causal.
    pub fn is_causal(&self) -> bool {
        self.causal
    }
}
