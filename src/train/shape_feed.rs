//! [`ShapeFeed`]: batches of shapes, made ahead.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use tessera_datasets::shape::{ExampleOptions, ShapeError, ShapeExample};
use tessera_tokenizers::vat::Supervision;

use super::TrainError;
use super::feed::Feed;
use super::shape_source::{ShapeSource, Skipped};

/// Surface points and labelled places of a batch.
#[derive(Clone)]
pub struct ShapeBatch {
    /// Points `[batch, n, 3]` of surfaces.
    pub points: Tensor<3>,
    /// Outward unit normals there, `[batch, n, 3]`.
    pub normals: Tensor<3>,
    /// Places in the volume, then near the surface.
    pub queries: Supervision,
}

impl ShapeBatch {
    /// Examples with the same numbers of points and places, at least one.
    pub fn new(examples: &[ShapeExample], device: &Device) -> Self {
        let batch = examples.len();
        let half = |from: usize| {
            let rows = examples.iter().flat_map(|example| &example.points);
            let values: Vec<f32> = rows.flat_map(|row| row.iter().skip(from).take(3)).copied().collect();
            let count = values.len() / (3 * batch.max(1));
            Tensor::from_data(TensorData::new(values, [batch, count, 3]), device)
        };
        let places = |example: &ShapeExample| [example.volume.places.as_slice(), &example.near.places].concat();
        let labels = |example: &ShapeExample| [example.volume.inside.as_slice(), &example.near.inside].concat();
        let values: Vec<f32> = examples.iter().flat_map(|example| places(example).into_flattened()).collect();
        let inside: Vec<f32> = examples.iter().flat_map(labels).map(|inside| f32::from(u8::from(inside))).collect();
        let count = inside.len() / batch.max(1);
        let queries = Supervision {
            points: Tensor::from_data(TensorData::new(values, [batch, count, 3]), device),
            labels: Tensor::from_data(TensorData::new(inside, [batch, count]), device),
            volume: examples.first().map_or(0, |example| example.volume.places.len()),
        };
        Self { points: half(0), normals: half(3), queries }
    }
}

/// What a batch is made of.
struct Recipe {
    source: ShapeSource,
    options: ExampleOptions,
    batch_size: usize,
}

impl Recipe {
    /// The examples of batch `index`, on all cores.
    fn batch(&self, index: u64) -> Result<Vec<ShapeExample>, ShapeError> {
        let first = index.wrapping_mul(self.batch_size as u64);
        let example = |item: usize| self.source.example(first.wrapping_add(item as u64), &self.options);
        (0..self.batch_size).into_par_iter().map(example).collect()
    }
}

type Made = Result<Vec<ShapeExample>, ShapeError>;

/// Batches of shapes on an autodiff device. A thread of its own makes some of them ahead.
pub struct ShapeFeed {
    recipe: Arc<Recipe>,
    ahead: usize,
    skipped: Skipped,
    device: Device,
    made: Option<Receiver<Made>>,
    next: u64,
    waited: Duration,
}

impl ShapeFeed {
    /// Examples of `source`, of which `skipped` could not be read; `ahead` batches wait at most.
    pub fn new(
        (source, skipped): (ShapeSource, Skipped),
        options: ExampleOptions,
        [batch_size, ahead]: [usize; 2],
        device: Device,
    ) -> Self {
        let recipe = Arc::new(Recipe { source, options, batch_size });
        Self { recipe, ahead, skipped, device, made: None, next: 0, waited: Duration::ZERO }
    }
}

impl Feed for ShapeFeed {
    type Batch = ShapeBatch;

    fn start(&mut self, first: u64) -> Result<(), TrainError> {
        let (sender, receiver) = sync_channel(self.ahead);
        let recipe = Arc::clone(&self.recipe);
        // Ends when nobody receives any more. Where no thread can be had, batches are made when they are asked for.
        let thread = std::thread::Builder::new().name("shapes".to_owned()).spawn(move || {
            for index in first.. {
                if sender.send(recipe.batch(index)).is_err() {
                    return;
                }
            }
        });
        (self.made, self.next) = (thread.is_ok().then_some(receiver), first);
        Ok(())
    }

    fn next(&mut self) -> Result<ShapeBatch, TrainError> {
        let started = Instant::now();
        let made = self.made.as_ref().and_then(|made| made.recv().ok());
        let examples = made.unwrap_or_else(|| self.recipe.batch(self.next))?;
        self.next = self.next.wrapping_add(1);
        self.waited += started.elapsed();
        Ok(ShapeBatch::new(&examples, &self.device))
    }

    fn batch_size(&self) -> usize {
        self.recipe.batch_size
    }

    /// The number of meshes; nothing for the endless set.
    fn items(&self) -> Vec<usize> {
        self.recipe.source.count().into_iter().collect()
    }

    fn waited(&self) -> Duration {
        self.waited
    }

    fn skipped(&self) -> Skipped {
        self.skipped.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape_source::Solids;
    use super::*;

    #[test]
    fn a_batch_is_the_same_wherever_the_feed_starts() {
        let options = ExampleOptions { points: 30, volume: 20, near: 11, deviations: vec![0.1] };
        let feed = || {
            let source = (ShapeSource::Procedural(Solids::new(5, 17)), Vec::new());
            ShapeFeed::new(source, options.clone(), [2, 1], Device::flex())
        };
        let (mut whole, mut late) = (feed(), feed());
        whole.start(0).unwrap();
        late.start(2).unwrap();
        let first = whole.next().unwrap();
        whole.next().unwrap();
        let (third, again) = (whole.next().unwrap(), late.next().unwrap());
        assert_eq!(third.points.dims(), [2, 30, 3]);
        assert_eq!((third.queries.labels.dims(), third.queries.volume), ([2, 31], 20));
        let values = |batch: ShapeBatch| {
            let tensors = [batch.points, batch.normals, batch.queries.points];
            let all = tensors.into_iter().flat_map(|tensor| tensor.into_data().iter::<f32>().collect::<Vec<_>>());
            all.chain(batch.queries.labels.into_data().iter::<f32>()).collect::<Vec<f32>>()
        };
        let third = values(third);
        assert_eq!(third, values(again));
        assert_ne!(third, values(first));
        assert!(third.iter().rev().take(62).any(|label| *label == 1.0));
    }
}
