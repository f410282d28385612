//! Finite scalar quantization of token sequences.

use burn::tensor::{Int, Tensor, TensorData};
use tessera_shaders::{FsqScale, fsq, fsq_bounded, fsq_codes};

/// Rounds each dimension of a latent to one of a few levels; the codebook is the grid of all of them and has no weights.
///
/// Source: Mentzer et al. 2023 (arXiv 2309.15505). See [`fsq`] for the arithmetic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiniteScalarQuantizer {
    levels: Vec<u32>,
}

impl FiniteScalarQuantizer {
    /// A quantizer of these levels, each 2 or more, with a product below 2^31.
    pub fn new(levels: &[u32]) -> Self {
        Self { levels: levels.to_vec() }
    }

    /// Codes in all.
    pub fn codes(&self) -> u32 {
        self.levels.iter().product()
    }

    /// Latents `[batch, positions, dims]` to codes of the same shape in -1..=1 and their indices `[batch, positions]`. The
    /// gradient passes the rounding straight through.
    pub fn quantize(&self, latents: Tensor<3>) -> (Tensor<3>, Tensor<2, Int>) {
        let [batch, positions, dims] = latents.dims();
        let (codes, ids) = fsq(latents.reshape([batch * positions, dims]), &self.levels);
        (codes.reshape([batch, positions, dims]), ids.reshape([batch, positions]))
    }

    /// Latents `[batch, positions, dims]` bounded, but not rounded.
    pub fn bounded(&self, latents: Tensor<3>) -> Tensor<3> {
        let [batch, positions, dims] = latents.dims();
        fsq_bounded(latents.reshape([batch * positions, dims]), &self.levels).reshape([batch, positions, dims])
    }

    /// Codes as [`FiniteScalarQuantizer::quantize`] gives them, but for the rounding.
    pub fn unrounded(&self, latents: Tensor<3>) -> Tensor<3> {
        let widths: Vec<f32> = self.levels.iter().map(|&level| FsqScale::of(level).width).collect();
        let widths = Tensor::<3>::from_data(TensorData::new(widths, [1, 1, self.levels.len()]), &latents.device());
        self.bounded(latents) / widths
    }

    /// The codes `[batch, positions, dims]` of indices `[batch, positions]`.
    pub fn vectors(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [batch, positions] = ids.dims();
        fsq_codes(ids.reshape([batch * positions]), &self.levels).reshape([batch, positions, self.levels.len()])
    }
}
