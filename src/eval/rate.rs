//! What tokens cost.

/// Bits of `tokens` tokens whose codes come from codebooks of these sizes: `tokens x sum log2(vocabulary)`.
///
/// Not rounded up to whole bits, as rate-distortion figures of tokenizers are usually given; the size of a token file
/// is the honest other number.
pub fn token_bits(tokens: usize, vocab: &[u32]) -> f64 {
    tokens as f64 * vocab.iter().map(|&vocab| f64::from(vocab.max(1)).log2()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_one_and_of_several_codebooks() {
        assert_eq!(token_bits(64, &[1024]), 640.0);
        assert_eq!(token_bits(3, &[1024, 2, 1]), 33.0);
        assert!((token_bits(1, &[50]) - 5.643_856).abs() < 1e-6);
    }
}
