//! [`RoundFeed`]: batches of shapes that come again and again, for their tokens to be searched for.

use std::time::Duration;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::TrainError;
use super::feed::Feed;
use super::shape_feed::{ShapeBatch, ShapeFeed};
use super::shape_source::Skipped;

/// How often batches come: `batches` of them in turn, each `visits` times, then others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds {
    /// Batches of a round.
    pub batches: usize,
    /// How often each comes.
    pub visits: usize,
}

impl Rounds {
    /// Every batch once.
    pub const ONCE: Self = Self { batches: 1, visits: 1 };

    /// Passes of a round.
    pub fn passes(self) -> u64 {
        (self.batches as u64).saturating_mul(self.visits as u64).max(1)
    }
}

/// A batch of a round: of its places, those to look at this time.
pub struct RoundBatch {
    /// The shapes.
    pub shapes: ShapeBatch,
    /// Which of the round's batches it is.
    pub slot: usize,
    /// How often it has come before.
    pub visit: usize,
}

/// Batches in rounds. Each is made once, with places enough for all visits, of which every visit looks at some others.
pub struct RoundFeed {
    feed: ShapeFeed,
    rounds: Rounds,
    /// Places in the volume and near the surface that a visit looks at.
    places: [usize; 2],
    seed: u64,
    pool: Vec<ShapeBatch>,
    next: u64,
}

impl RoundFeed {
    /// Rounds of what `feed` makes; a visit looks at `places` in the volume and near the surface.
    pub fn new(feed: ShapeFeed, rounds: Rounds, places: [usize; 2], seed: u64) -> Self {
        Self { feed, rounds, places, seed, pool: Vec::new(), next: 0 }
    }

    /// The place of a pass in its round.
    fn position(&self, pass: u64) -> usize {
        // Less than the passes of a round, whose factors are `usize`.
        (pass % self.rounds.passes()) as usize
    }

    fn look(&self, shapes: &ShapeBatch) -> ShapeBatch {
        if self.rounds == Rounds::ONCE {
            return shapes.clone();
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.next);
        ShapeBatch { queries: shapes.queries.window(self.places, [0, 0], &mut rng), ..shapes.clone() }
    }
}

impl Feed for RoundFeed {
    type Batch = RoundBatch;

    fn start(&mut self, first: u64) -> Result<(), TrainError> {
        let (round, position) = (first / self.rounds.passes(), self.position(first));
        self.feed.start(round.wrapping_mul(self.rounds.batches as u64))?;
        self.pool.clear();
        for _ in 0..position.min(self.rounds.batches) {
            self.pool.push(self.feed.next()?);
        }
        self.next = first;
        Ok(())
    }

    fn next(&mut self) -> Result<RoundBatch, TrainError> {
        let position = self.position(self.next);
        let (slot, visit) = (position % self.rounds.batches.max(1), position / self.rounds.batches.max(1));
        if position == 0 {
            self.pool.clear();
        }
        let shapes = match self.pool.get(slot) {
            Some(shapes) => self.look(shapes),
            None => {
                let shapes = self.feed.next()?;
                let looked = self.look(&shapes);
                self.pool.push(shapes);
                looked
            }
        };
        self.next = self.next.wrapping_add(1);
        Ok(RoundBatch { shapes, slot, visit })
    }

    fn batch_size(&self) -> usize {
        self.feed.batch_size()
    }

    fn items(&self) -> Vec<usize> {
        self.feed.items()
    }

    fn waited(&self) -> Duration {
        self.feed.waited()
    }

    fn skipped(&self) -> Skipped {
        self.feed.skipped()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use tessera_datasets::shape::ExampleOptions;

    use super::super::shape_source::{ShapeSource, Solids};
    use super::*;

    #[test]
    fn batches_come_in_turn_with_other_places_each_time_wherever_the_feed_starts() {
        let options = ExampleOptions { points: 20, volume: 40, near: 30, deviations: vec![0.1] };
        let feed = || {
            let source = (ShapeSource::Procedural(Solids::new(5, 17)), Vec::new());
            let feed = ShapeFeed::new(source, options.clone(), [1, 1], Device::flex());
            RoundFeed::new(feed, Rounds { batches: 2, visits: 3 }, [8, 6], 9)
        };
        let values = |batch: &RoundBatch| -> [Vec<f32>; 2] {
            let RoundBatch { shapes, .. } = batch;
            [&shapes.points, &shapes.queries.points].map(|tensor| tensor.clone().into_data().iter::<f32>().collect())
        };
        let mut whole = feed();
        whole.start(0).unwrap();
        let all: Vec<RoundBatch> = (0..8).map(|_| whole.next().unwrap()).collect();
        let places: Vec<[usize; 2]> = all.iter().map(|batch| [batch.slot, batch.visit]).collect();
        assert_eq!(places, [[0, 0], [1, 0], [0, 1], [1, 1], [0, 2], [1, 2], [0, 0], [1, 0]]);
        assert!(all.iter().all(|batch| batch.shapes.queries.counts() == [8, 6]));
        let [first, second, again, other] = [0, 1, 2, 6].map(|at: usize| values(&all[at]));
        assert_eq!(first[0], again[0], "the same shapes");
        assert_ne!(first[1], again[1], "other places");
        assert!(first[0] != second[0] && first[0] != other[0] && second[0] != other[0]);
        for start in [1, 3, 6, 7] {
            let mut late = feed();
            late.start(start).unwrap();
            for batch in all.iter().skip(start as usize) {
                assert_eq!(values(batch), values(&late.next().unwrap()), "{start}");
            }
        }
    }
}
