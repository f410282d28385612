//! SEED and its pixel decoder as one network.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_layers::{ParamResult, Params, Trace};

use super::config::SeedPixelsConfig;
use super::decoder::{PixelCondition, PixelDecoder};
use crate::seed::SeedNetwork;

/// Everything, SEED's parts under their own names.
#[derive(Module, Debug)]
pub struct SeedPixelsNetwork {
    seed: SeedNetwork,
    pixels: PixelDecoder,
    squared_error: f64,
}

/// What the pixel decoder is shown of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Its first so many tokens.
    pub keep: usize,
    /// Nothing at all, whatever `keep` says: what guidance compares with.
    pub is_null: bool,
}

impl Shown {
    /// The first `keep` tokens.
    pub fn prefix(keep: usize) -> Self {
        Self { keep, is_null: false }
    }
}

impl SeedPixelsNetwork {
    /// Takes every tensor; `positions` as of [`EvaVit::new`](crate::seed::EvaVit::new).
    pub fn new(params: &Params, config: &SeedPixelsConfig, positions: usize) -> ParamResult<Self> {
        let seed = SeedNetwork::new(params, &config.seed, positions)?;
        Ok(Self::joined(seed, PixelDecoder::new(&params.at("pixel_decoder"), config)?, config))
    }

    pub(super) fn joined(seed: SeedNetwork, pixels: PixelDecoder, config: &SeedPixelsConfig) -> Self {
        Self { seed, pixels, squared_error: config.pixels.squared_error }
    }

    pub(super) fn fit_positions(&mut self) {
        self.seed.fit_positions();
    }

    /// The tokenizer.
    pub fn seed(&self) -> &SeedNetwork {
        &self.seed
    }

    /// The tokenizer, to move its codes.
    pub fn seed_mut(&mut self) -> &mut SeedNetwork {
        &mut self.seed
    }

    /// Weight of the squared error in the loss of a decoder of one pass.
    pub fn squared_error(&self) -> f64 {
        self.squared_error
    }

    /// The decoder.
    pub fn pixels(&self) -> &PixelDecoder {
        &self.pixels
    }

    /// What the decoder is conditioned on: dequantized vectors `[batch, tokens, width]`, of which it is shown a part. Both context
    /// and pooled features are made of that part alone.
    pub fn condition(&self, dequantized: Tensor<3>, shown: &[Shown]) -> PixelCondition {
        let keep: Vec<usize> = shown.iter().map(|shown| shown.keep).collect();
        let codec = self.seed.codec();
        let context = codec.decoded(self.pixels.prefix(dequantized, &keep), &mut Trace::none());
        let features = codec.head().forward(context.clone(), &mut Trace::none());
        let [batch, _, channels] = features.dims();
        let pooled = features.mean_dim(1).reshape([batch, channels]);
        self.pixels.condition(context, pooled, shown)
    }
}
