//! Codes that nothing chooses, and moving them to where latents are.
//!
//! Codebooks collapse: a training that starts from chance ends with a few tens of codes in use, and latents shrink to fit them. So a
//! codebook may start from what the encoder makes, and codes that a whole window of steps did not use move onto what was looked up last.

use burn::module::Param;
use burn::tensor::{Int, Tensor};
use rand::Rng;
use rand::seq::SliceRandom as _;

/// A codebook whose codes can be put elsewhere.
pub trait MovableCodes {
    /// Puts new vectors, as the codebook compares them, in place of codes.
    ///
    /// Vectors of another width and codes that do not exist are passed over.
    fn replace_codes(&mut self, replacements: &[(usize, Vec<f32>)]);
}

/// Uses of each code in a window of steps.
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

    /// Counts ids `[batch, tokens]`.
    pub fn add(&mut self, ids: &Tensor<2, Int>) {
        for id in ids.clone().into_data().iter::<i64>() {
            if let Some(count) = usize::try_from(id).ok().and_then(|id| self.0.get_mut(id)) {
                *count += 1;
            }
        }
    }

    /// Codes that nothing chose.
    pub fn dead(&self) -> Vec<usize> {
        self.0.iter().enumerate().filter(|(_, count)| **count == 0).map(|(code, _)| code).collect()
    }

    /// Share of codes that were used, 0..=1.
    pub fn usage(&self) -> f64 {
        let used = self.0.iter().filter(|count| **count > 0).count();
        used as f64 / self.0.len().max(1) as f64
    }

    /// [`perplexity`] of the uses.
    pub fn perplexity(&self) -> f64 {
        perplexity(self.0.iter().copied())
    }

    /// Starts a new window.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }
}

/// `exp(-sum p ln p)` of a histogram: the number of codes that, used evenly, would say as much; 0 for an empty one.
pub fn perplexity(counts: impl Iterator<Item = u64> + Clone) -> f64 {
    let total: u64 = counts.clone().sum();
    if total == 0 {
        return 0.0;
    }
    let shares = counts.filter(|&count| count > 0).map(|count| count as f64 / total as f64);
    shares.map(|share| -share * share.ln()).sum::<f64>().exp()
}

/// Moves `codes` onto vectors of `latents [batch, tokens, channels]` drawn by chance, each vector once as long as there are enough.
pub fn move_codes(codebook: &mut dyn MovableCodes, codes: &[usize], latents: Tensor<3>, rng: &mut impl Rng) {
    let [_, _, width] = latents.dims();
    let values: Vec<f32> = latents.into_data().iter().collect();
    let mut rows: Vec<&[f32]> = values.chunks_exact(width.max(1)).collect();
    rows.shuffle(rng);
    let moves: Vec<_> = codes.iter().zip(rows.iter().cycle()).map(|(&code, row)| (code, row.to_vec())).collect();
    codebook.replace_codes(&moves);
}

/// Puts new rows into a table; rows of another width or that do not exist are passed over.
pub(crate) fn replace_rows<'a>(table: &mut Param<Tensor<2>>, rows: impl Iterator<Item = (usize, &'a [f32])>) {
    let codebook = table.val().detach();
    let [codes, width] = codebook.dims();
    let (device, mut data) = (codebook.device(), codebook.into_data());
    if let Ok(values) = data.as_mut_slice::<f32>() {
        for (code, vector) in rows.filter(|(code, vector)| *code < codes && vector.len() == width) {
            values[code * width..][..width].copy_from_slice(vector);
        }
    }
    let codebook = Tensor::from_data(data, &device);
    let codebook = if device.is_autodiff() { codebook.require_grad() } else { codebook };
    *table = Param::initialized(table.id, codebook);
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
