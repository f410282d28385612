//! Wrong tokens in what a generator reads while it learns.

use std::ops::Range;

use burn::tensor::{Int, Tensor, TensorData};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use tessera_generators::Turns;

use super::{TrainConfig, TrainError};

/// Refuses noise where a generator has no use for it.
pub fn refuse_noise(config: &TrainConfig) -> Result<(), TrainError> {
    match config.generator.token_noise {
        0.0 => Ok(()),
        found => Err(TrainError::Invalid {
            key: "generator.token_noise",
            expected: "0 but for next-token generators and NAR".to_owned(),
            found: found.to_string(),
        }),
    }
}

/// Tokens `[rows, tokens]` as the network reads them: of each row a share, drawn evenly from 0 to twice `mean` (1 at most), is replaced by
/// codes drawn evenly from those in turn at their position. What it has to predict stays as it is.
///
/// A network that has seen a small set often knows the rest of a picture by its first tokens, and no longer looks at the caption; where
/// those may be wrong, it does.
pub fn with_noise(ids: Tensor<2, Int>, mean: f64, turns: &Turns, rng: &mut ChaCha8Rng) -> Tensor<2, Int> {
    let (shape, device) = (ids.dims(), ids.device());
    let id = |id: usize| i32::try_from(id).unwrap_or(i32::MAX);
    let in_turn: Vec<Range<i32>> = (0..shape[1])
        .map(|position| turns.range(position))
        .map(|range| id(range.start)..id(range.end).max(id(range.start).saturating_add(1)))
        .collect();
    let mut read: Vec<i32> = ids.into_data().iter().collect();
    for row in read.chunks_exact_mut(shape[1].max(1)) {
        let share = (2.0 * mean * rng.random::<f64>()).min(1.0);
        for (id, in_turn) in row.iter_mut().zip(&in_turn) {
            // Drawn whether used or not, so that every row takes as many draws.
            let (chance, other) = (rng.random::<f64>(), rng.random_range(in_turn.clone()));
            if chance < share {
                *id = other;
            }
        }
    }
    Tensor::from_data(TensorData::new(read, shape), &device)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn a_share_of_each_row_is_replaced() {
        let (ids, turns) = (Tensor::<2, Int>::full([200, 50], 7, &Device::flex()), Turns::new([1000]));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let noisy = with_noise(ids.clone(), 0.25, &turns, &mut rng);
        let read: Vec<i32> = noisy.clone().into_data().iter().collect();
        assert!(read.iter().all(|id| (0..1000).contains(id)));
        let changed: Vec<usize> = read.chunks(50).map(|row| row.iter().filter(|id| **id != 7).count()).collect();
        let mean = changed.iter().sum::<usize>() as f64 / read.len() as f64;
        assert!((mean - 0.25).abs() < 0.03, "{mean}");
        assert!(changed.iter().any(|&count| count < 5) && changed.iter().all(|&count| count < 38));
        let again = with_noise(ids.clone(), 0.25, &turns, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(read, again.into_data().iter().collect::<Vec<i32>>());
        let none = with_noise(ids.clone(), 0.0, &turns, &mut rng);
        assert_eq!(
            none.into_data().iter::<i32>().collect::<Vec<_>>(),
            ids.into_data().iter::<i32>().collect::<Vec<_>>()
        );
    }

    #[test]
    fn wrong_codes_are_in_turn() {
        let ids = Tensor::<2, Int>::full([40, 6], 0, &Device::flex());
        let noisy = with_noise(ids, 0.5, &Turns::new([3, 4]), &mut ChaCha8Rng::seed_from_u64(1));
        let read: Vec<i32> = noisy.into_data().iter().collect();
        for (at, id) in read.iter().enumerate() {
            assert!(*id == 0 || (at % 2 == 1) == (3..7).contains(id), "{id} at {at}");
        }
        assert!((0..7).all(|id| read.contains(&id)), "{read:?}");
    }
}
