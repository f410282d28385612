//! How much of a codebook is used.

use std::collections::BTreeMap;

use serde::Serialize;
use tessera_tokenizers::Tokens;
use tessera_tokenizers::quantizers::perplexity;

/// Counts how often each code occurs; memory grows with the codes that occur, not with the vocabulary.
#[derive(Debug, Clone)]
pub struct CodeUsage {
    vocab: Vec<u32>,
    /// One histogram for each depth.
    counts: Vec<BTreeMap<u32, u64>>,
}

/// Usage of the codebook of one depth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DepthUsage {
    /// Codes of the codebook.
    pub vocab: u32,
    /// Tokens counted.
    pub tokens: u64,
    /// Codes that occurred.
    pub used: u64,
    /// `used / vocab`. A set of few tokens cannot use many codes: compare sets of the same size.
    pub share: f64,
    /// Perplexity of the histogram, `exp(-sum p ln p)`: how many equally frequent codes would carry as much.
    pub perplexity: f64,
}

impl CodeUsage {
    /// Nothing counted yet, for codebooks of these sizes.
    pub fn new(vocab: &[u32]) -> Self {
        Self { vocab: vocab.to_vec(), counts: vec![BTreeMap::new(); vocab.len()] }
    }

    /// Counts every token that is kept.
    pub fn add(&mut self, tokens: &Tokens) {
        let kept = tokens.kept();
        for (at, codes) in tokens.ids().chunks_exact(tokens.depth().max(1)).enumerate() {
            if kept.is_none_or(|kept| kept.get(at).copied().unwrap_or(false)) {
                for (code, counts) in codes.iter().zip(&mut self.counts) {
                    *counts.entry(*code).or_default() += 1;
                }
            }
        }
    }

    /// The usage of each depth.
    pub fn by_depth(&self) -> Vec<DepthUsage> {
        self.vocab.iter().zip(&self.counts).map(|(&vocab, counts)| usage(vocab, counts)).collect()
    }
}

fn usage(vocab: u32, counts: &BTreeMap<u32, u64>) -> DepthUsage {
    let tokens: u64 = counts.values().sum();
    DepthUsage {
        vocab,
        tokens,
        used: counts.len() as u64,
        share: counts.len() as f64 / f64::from(vocab.max(1)),
        perplexity: perplexity(counts.values().copied()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_tokenizers::{Fingerprint, TokenLayout};

    #[test]
    fn a_known_histogram() {
        let layout = TokenLayout::Ordered { len: 4 };
        let tokens = Tokens::new(vec![3, 3, 5, 7, 3, 3, 5, 7], 2, layout, vec![8], Fingerprint::default()).unwrap();
        let mut usage = CodeUsage::new(&[8]);
        assert_eq!(usage.by_depth()[0].perplexity, 0.0);
        usage.add(&tokens);
        let [found] = &usage.by_depth()[..] else { panic!("one depth") };
        assert_eq!((found.tokens, found.used, found.share), (8, 3, 0.375));
        // Entropy of 1/2, 1/4, 1/4 is 1.5 bits.
        assert!((found.perplexity - 1.5_f64.exp2()).abs() < 1e-12);

        let mut prefix = CodeUsage::new(&[8]);
        prefix.add(&tokens.prefix(2).unwrap());
        assert_eq!((prefix.by_depth()[0].tokens, prefix.by_depth()[0].used), (4, 1));
        assert_eq!(prefix.by_depth()[0].perplexity, 1.0);
    }

    #[test]
    fn depths_are_counted_apart() {
        let layout = TokenLayout::Ordered { len: 2 };
        let tokens = Tokens::new(vec![1, 0, 1, 9], 1, layout, vec![2, 10], Fingerprint::default()).unwrap();
        let mut usage = CodeUsage::new(&[2, 10]);
        usage.add(&tokens);
        let used: Vec<u64> = usage.by_depth().iter().map(|depth| depth.used).collect();
        assert_eq!(used, [1, 2]);
    }
}
