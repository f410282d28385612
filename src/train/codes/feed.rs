//! [`CodeFeed`]: batches of codes, with parts of captions left out by chance.

use std::sync::Arc;

use burn::tensor::Device;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tessera_generators::Words;

use super::batch::CodeBatch;
use super::cache::CodeCache;
use crate::train::TrainError;
use crate::train::feed::Feed;

/// How often parts of a condition are left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropping {
    /// Everything, so that guidance has something to compare with.
    pub all: f64,
    /// Each tag, and the words that are no tags together, so that any of them can be asked for alone.
    pub part: f64,
}

/// Each pass over the items in an order of its own.
pub struct CodeFeed {
    cache: Arc<CodeCache>,
    words: Option<Words>,
    most_words: usize,
    dropping: Dropping,
    batch_size: usize,
    seed: u64,
    device: Device,
    next: u64,
    order: Vec<usize>,
    epoch: Option<u64>,
    skipped: Vec<(String, String)>,
}

impl CodeFeed {
    /// Batches of `batch_size` items on `device`. Captions become ids of `words`, `most_words` at most.
    pub fn new(
        cache: Arc<CodeCache>,
        (words, most_words): (Option<Words>, usize),
        dropping: Dropping,
        batch_size: usize,
        seed: u64,
        device: Device,
    ) -> Self {
        let order = (0..cache.len()).collect();
        let skipped = Vec::new();
        Self { cache, words, most_words, dropping, batch_size, seed, device, next: 0, order, epoch: None, skipped }
    }

    /// The same, where some items could not be encoded, and why.
    pub fn with_skipped(self, skipped: Vec<(String, String)>) -> Self {
        Self { skipped, ..self }
    }

    /// Items `places` as they are, nothing left out: for validation.
    pub fn whole(
        cache: &CodeCache,
        places: &[usize],
        words: Option<&Words>,
        most_words: usize,
        device: &Device,
    ) -> CodeBatch {
        let captions = places.iter().map(|&place| {
            let caption = cache.captions().get(place).and_then(Option::as_deref);
            known(words, caption.unwrap_or_default()).into_iter().map(|(id, _)| id).take(most_words).collect()
        });
        let labels = places.iter().map(|&place| cache.labels().get(place).copied().flatten());
        batch(cache, places, captions.zip(labels), device)
    }

    /// The item at `position` of the run.
    fn place(&mut self, position: u64) -> usize {
        let items = self.cache.len().max(1) as u64;
        let epoch = position / items;
        if self.epoch != Some(epoch) {
            self.order.sort_unstable();
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(epoch.wrapping_mul(2));
            self.order.shuffle(&mut rng);
            self.epoch = Some(epoch);
        }
        let at = usize::try_from(position % items).unwrap_or(0);
        self.order.get(at).copied().unwrap_or(0)
    }

    /// What chance leaves at `position` of the condition of item `place`: words of its caption, and its class.
    fn condition(&self, place: usize, position: u64) -> (Vec<u32>, Option<u32>) {
        let caption = self.cache.captions().get(place).and_then(Option::as_deref).unwrap_or_default();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(position.wrapping_mul(2).wrapping_add(1));
        // Drawn whether used or not, so that one share does not change what another one draws.
        let (all, plain) = (rng.random::<f64>() < self.dropping.all, rng.random::<f64>() < self.dropping.part);
        if all {
            return (Vec::new(), None);
        }
        let kept = known(self.words.as_ref(), caption).into_iter().filter(|(_, is_tag)| match is_tag {
            true => rng.random::<f64>() >= self.dropping.part,
            false => !plain,
        });
        let kept = kept.map(|(id, _)| id).take(self.most_words).collect();
        (kept, self.cache.labels().get(place).copied().flatten())
    }
}

/// Ids of the words of a caption that the table has, and which of them are tags.
fn known(words: Option<&Words>, caption: &str) -> Vec<(u32, bool)> {
    let Some(words) = words else { return Vec::new() };
    Words::split(caption).filter_map(|word| Some((words.id(&word)?, word.contains('=')))).collect()
}

fn batch(
    cache: &CodeCache,
    places: &[usize],
    conditions: impl Iterator<Item = (Vec<u32>, Option<u32>)>,
    device: &Device,
) -> CodeBatch {
    let codes = cache.values().gather(places, cache.layout().positions(), device);
    let (captions, labels) = conditions.unzip();
    CodeBatch { codes, captions, labels }
}

impl Feed for CodeFeed {
    type Batch = CodeBatch;

    fn start(&mut self, first: u64) -> Result<(), TrainError> {
        self.next = first;
        Ok(())
    }

    fn next(&mut self) -> Result<CodeBatch, TrainError> {
        let first = self.next * self.batch_size as u64;
        self.next += 1;
        let positions: Vec<u64> = (first..first + self.batch_size as u64).collect();
        let places: Vec<usize> = positions.iter().map(|&position| self.place(position)).collect();
        let conditions = places.iter().zip(&positions).map(|(&place, &position)| self.condition(place, position));
        Ok(batch(&self.cache, &places, conditions, &self.device))
    }

    fn batch_size(&self) -> usize {
        self.batch_size
    }

    fn items(&self) -> Vec<usize> {
        vec![self.cache.len()]
    }

    fn skipped(&self) -> Vec<(String, String)> {
        self.skipped.clone()
    }
}
