//! Codes that nothing chooses, and moving them to where latents are.
//!
//! Residual codebooks collapse: a training that starts from chance ends with a few tens of codes in use, and latents shrink to fit
//! them. So the codebook starts from what the encoder makes, and codes that a whole window of steps did not use move onto what was
//! looked up last.

use burn::tensor::{Int, Tensor};
use rand::Rng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};

use crate::quantizers::ScaleQuantizer;

/// How often each code was chosen in a window of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeUses(Vec<u64>);

impl CodeUses {
    /// No uses of `codes` codes.
    pub fn new(codes: usize) -> Self {
        Self(vec![0; codes])
    }

    /// Counts ids `[batch, tokens]`.
    pub fn add(&mut self, ids: &Tensor<2, Int>) {
        for id in ids.clone().into_data().iter::<i64>() {
            if let Some(count) = usize::try_from(id).ok().and_then(|id| self.0.get_mut(id)) {
                *count += 1;
            }
        }
    }

    /// Uses of each code.
    pub fn counts(&self) -> &[u64] {
        &self.0
    }

    /// Codes that nothing chose.
    pub fn unused(&self) -> Vec<usize> {
        self.0.iter().enumerate().filter(|(_, count)| **count == 0).map(|(code, _)| code).collect()
    }

    /// Starts a new window.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }
}

/// Puts every code onto a vector of `candidates [batch, tokens, width]` drawn by chance, each vector once as long as there are
/// enough: how the second stage starts.
pub fn codebook_from(quantizer: &mut ScaleQuantizer, candidates: Tensor<3>, rng: &mut impl Rng) {
    let codes = quantizer.codes().codes();
    let [_, _, width] = candidates.dims();
    let values: Vec<f32> = candidates.into_data().iter().collect();
    let mut rows: Vec<&[f32]> = values.chunks_exact(width.max(1)).collect();
    rows.shuffle(rng);
    let moves: Vec<(usize, Vec<f32>)> =
        (0..codes).zip(rows.iter().cycle()).map(|(code, row)| (code, row.to_vec())).collect();
    quantizer.codes_mut().replace_codes(&moves);
}

/// Moves the codes that `uses` never saw onto vectors of `candidates [batch, tokens, width]` drawn by chance, and starts a new
/// window. Returns how many moved.
pub fn restart_unused(
    quantizer: &mut ScaleQuantizer,
    uses: &mut CodeUses,
    candidates: Tensor<3>,
    rng: &mut impl Rng,
) -> usize {
    let [_, _, width] = candidates.dims();
    let values: Vec<f32> = candidates.into_data().iter().collect();
    let rows: Vec<&[f32]> = values.chunks_exact(width.max(1)).collect();
    let moves: Vec<(usize, Vec<f32>)> =
        uses.unused().into_iter().filter_map(|code| Some((code, rows.choose(rng)?.to_vec()))).collect();
    quantizer.codes_mut().replace_codes(&moves);
    uses.clear();
    moves.len()
}
