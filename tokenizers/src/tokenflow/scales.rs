//! The sides of the scales, and where their tokens stand.

use std::ops::Range;

use crate::TokenLayout;
use crate::quantizers::ScaleQuantizerConfig;
use crate::quantizers::scales::Resample;

/// Scales from coarse to fine, each a square grid, row by row; tokens stand one scale after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scales {
    sides: Vec<usize>,
}

impl Scales {
    /// Scales of these sides.
    pub fn new(sides: &[usize]) -> Self {
        Self { sides: sides.to_vec() }
    }

    /// The side of each scale's grid.
    pub fn sides(&self) -> &[usize] {
        &self.sides
    }

    /// The side of the last scale's grid: that of the latents.
    pub fn grid(&self) -> usize {
        self.sides.last().copied().unwrap_or(1)
    }

    /// Where the tokens of each scale stand.
    pub fn ranges(&self) -> Vec<Range<usize>> {
        let mut start = 0;
        let range = |side: &usize| {
            let from = start;
            start += side * side;
            from..start
        };
        self.sides.iter().map(range).collect()
    }

    /// Tokens of all scales.
    pub fn tokens(&self) -> usize {
        self.sides.iter().map(|side| side * side).sum()
    }

    /// How many scales the first `tokens` tokens are; `None` where a scale would be cut, or there is none.
    pub fn within(&self, tokens: usize) -> Option<usize> {
        self.ranges().iter().position(|range| range.end == tokens).map(|last| last + 1)
    }

    /// The numbers of tokens that whole scales come to, for messages.
    pub fn ends(&self) -> Vec<usize> {
        self.ranges().into_iter().map(|range| range.end).collect()
    }

    /// The quantizer over scales that these tokens are of, with both halves of a pair of codes side by side: what is left is shrunk by
    /// means of areas, codes are enlarged by cubic convolution, and no convolution follows. Its codebook is
    /// [`SharedCodes::rows`](super::SharedCodes::rows).
    pub fn quantizer(&self, codes: usize) -> ScaleQuantizerConfig {
        ScaleQuantizerConfig {
            scales: self.sides.iter().map(|side| side * side).collect(),
            codebook_size: codes,
            resample: Resample::Grid2d,
            quant_resi: 0.0,
            share_quant_resi: 1,
            znorm: false,
            beta: 0.25,
        }
    }

    /// The arrangement of the tokens.
    pub fn layout(&self) -> TokenLayout {
        let count = |side: &usize| u32::try_from(side * side).unwrap_or(u32::MAX);
        TokenLayout::Scales { counts: self.sides.iter().map(count).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stand_scale_after_scale() {
        let scales = Scales::new(&[1, 2, 3]);
        assert_eq!((scales.ranges(), scales.tokens(), scales.grid()), (vec![0..1, 1..5, 5..14], 14, 3));
        assert_eq!(
            [0, 1, 2, 5, 14, 15].map(|tokens| scales.within(tokens)),
            [None, Some(1), None, Some(2), Some(3), None]
        );
    }
}
