//! [`Turns`]: vocabularies that take turns along the positions.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use tessera_tokenizers::ConfigError;

/// Sizes of vocabularies that lie behind one another in one and take turns: a token at position `p` is of the vocabulary `p` modulo their number. So
/// are the codes of a tokenizer with several at a position ([`Tokens::unrolled`](tessera_tokenizers::Tokens::unrolled)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Turns(Vec<usize>);

/// Logit of an id whose turn it is not. Finite, for guidance to subtract.
const NEVER: f32 = -1e9;

impl Turns {
    /// Vocabularies of these sizes.
    pub fn new(vocab: impl IntoIterator<Item = usize>) -> Self {
        Self(vocab.into_iter().collect())
    }

    /// Checks that they make up `codes` ids and that every one has as many of `positions` positions.
    ///
    /// # Errors
    /// [`ConfigError`] of the key `turns`.
    pub fn check(&self, codes: usize, positions: usize) -> Result<(), ConfigError> {
        let all = self.0.iter().try_fold(0_usize, |all, &size| all.checked_add(size));
        let fits = all == Some(codes) && !self.0.contains(&0) && positions.is_multiple_of(self.0.len().max(1));
        if fits && !self.0.is_empty() {
            return Ok(());
        }
        let expected = format!("sizes of {codes} codes together, whose number divides {positions} positions");
        Err(ConfigError::invalid("turns", expected, format!("{:?}", self.0)))
    }

    /// Ids that are in turn at a position; none where there are no vocabularies.
    pub fn range(&self, position: usize) -> Range<usize> {
        let turn = position % self.0.len().max(1);
        let start = self.0.iter().take(turn).sum();
        start..start + self.0.get(turn).copied().unwrap_or(0)
    }

    /// Logits `[rows * positions.len(), codes]`, row by row, in which ids whose turn it is not at these positions are never drawn; as they are where
    /// there is one vocabulary.
    pub(crate) fn apply(turns: Option<&Self>, logits: Tensor<2>, positions: Option<&[usize]>) -> Tensor<2> {
        match (turns, positions) {
            (Some(turns), Some(positions)) => turns.masked(logits, positions),
            _ => logits,
        }
    }

    fn masked(&self, logits: Tensor<2>, positions: &[usize]) -> Tensor<2> {
        let [all, codes] = logits.dims();
        let mask = self.mask(positions, codes, &logits.device()).unsqueeze::<3>();
        let rows = all / positions.len().max(1);
        (logits.reshape([rows, positions.len(), codes]) + mask).reshape([all, codes])
    }

    /// What is added to the logits of positions, `[positions, codes]`.
    fn mask(&self, positions: &[usize], codes: usize, device: &Device) -> Tensor<2> {
        let values = positions.iter().flat_map(|&position| {
            let in_turn = self.range(position);
            (0..codes).map(move |id| if in_turn.contains(&id) { 0.0 } else { NEVER })
        });
        Tensor::from_data(TensorData::new(values.collect(), [positions.len(), codes]), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_drawn_in_their_turn() {
        let turns = Turns::new([2, 3]);
        turns.check(5, 4).unwrap();
        for (codes, positions) in [(6, 4), (5, 3)] {
            assert!(turns.check(codes, positions).unwrap_err().to_string().contains("turns"));
        }
        assert!(Turns::new([]).check(0, 4).is_err() && Turns::new([5, 0]).check(5, 4).is_err());
        // The likeliest ids are those of the other vocabulary.
        let row = |likely: usize| (0..5).map(move |id| if id == likely { 9.0_f32 } else { id as f32 * 0.1 });
        let logits: Vec<f32> = [4, 0, 4, 0].into_iter().flat_map(row).collect();
        let logits = Tensor::<2>::from_data(TensorData::new(logits, [4, 5]), &Device::flex());
        let masked = turns.masked(logits, &[2, 5]);
        let drawn: Vec<i64> = masked.clone().argmax(1).into_data().iter().collect();
        assert_eq!(drawn, [1, 4, 1, 4]);
        // Guidance of two masked logits stays finite.
        let guided = tessera_shaders::guided(masked.clone(), Some(masked), 3.0);
        assert_eq!(guided.argmax(1).into_data().iter::<i64>().collect::<Vec<_>>(), drawn);
    }
}
