//! Health of the codebook: which codes are used, and what becomes of those that are not.

use burn::tensor::{Int, Tensor};
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use tessera_tokenizers::quantizers::VectorQuantizer;

use crate::eval::perplexity;

/// Uses of each code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeCounts(Vec<u64>);

impl CodeCounts {
    /// No uses of `codes` codes.
    pub fn new(codes: usize) -> Self {
        Self(vec![0; codes])
    }

    /// The counts of an earlier [`CodeCounts::counts`].
    pub fn from_counts(counts: Vec<u64>) -> Self {
        Self(counts)
    }

    /// Uses of each code.
    pub fn counts(&self) -> &[u64] {
        &self.0
    }

    /// Counts the codes of a batch.
    pub fn add(&mut self, indices: &Tensor<2, Int>) {
        for code in indices.clone().into_data().iter::<i64>() {
            if let Some(count) = usize::try_from(code).ok().and_then(|code| self.0.get_mut(code)) {
                *count += 1;
            }
        }
    }

    /// Codes that were never used.
    pub fn dead(&self) -> Vec<usize> {
        self.0.iter().enumerate().filter(|(_, count)| **count == 0).map(|(code, _)| code).collect()
    }

    /// Share of codes that were used, 0..=1.
    pub fn usage(&self) -> f64 {
        let used = self.0.iter().filter(|count| **count > 0).count();
        used as f64 / self.0.len().max(1) as f64
    }

    /// `exp` of the entropy of uses: the number of codes that, used evenly, would say as much. 0 before any use.
    pub fn perplexity(&self) -> f64 {
        perplexity(self.0.iter().copied())
    }

    /// Forgets all uses.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }
}

/// Moves `codes` onto latents `[batch, tokens, channels]` drawn by chance.
pub fn move_codes(quantizer: &mut VectorQuantizer, codes: &[usize], latents: Tensor<3>, rng: &mut ChaCha8Rng) {
    let [_, _, width] = latents.dims();
    let values: Vec<f32> = latents.into_data().iter().collect();
    let rows: Vec<&[f32]> = values.chunks_exact(width.max(1)).collect();
    let moves: Vec<_> = codes.iter().filter_map(|&code| Some((code, rows.choose(rng)?.to_vec()))).collect();
    quantizer.replace_codes(&moves);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_perplexity_and_dead_codes() {
        let mut counts = CodeCounts::new(4);
        assert_eq!((counts.usage(), counts.perplexity()), (0.0, 0.0));
        counts.add(&Tensor::from_data([[0, 1], [1, 0]], &burn::tensor::Device::flex()));
        assert_eq!(counts.dead(), [2, 3]);
        assert!((counts.usage() - 0.5).abs() < 1e-12 && (counts.perplexity() - 2.0).abs() < 1e-9);
        counts.clear();
        assert_eq!(counts.dead().len(), 4);
    }
}
