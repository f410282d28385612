//! Batches to train on, from a mixture of data sources.
//!
//! ```text
//! position = batch index * batch size + place in the batch
//!    │ mixture:      position -> (source, how many samples of it came before)
//!    │ permutation:  (source, epoch, place in the epoch) -> sample
//!    │ chance:       ChaCha8(seed, stream = position) -> crop, background, mirroring
//!    ▼
//! sample
//! ```
//!
//! Nothing is remembered from one batch to the next, so any batch can be computed at any time: that is how a run
//! resumes, and why threads cannot change the outcome. The cache and the list of damaged files only save time.

mod batch;
mod cache;
mod mixture;
mod options;
mod permutation;
mod stream;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

pub use batch::Batch;
pub use options::LoaderOptions;
pub(crate) use permutation::mix;
pub use stream::Stream;

use crate::error::{DatasetError, Result};
use crate::source::{DataSource, Prepared, Source};
use cache::Cache;
use mixture::Mixture;
use permutation::Permutation;

/// How many samples may be tried for one place in a batch before the source counts as damaged.
const MAX_TRIES: u64 = 256;

/// Gives batches of a mixture of sources; cheap to clone, and all clones share cache and threads.
///
/// ```no_run
/// use tessera_datasets::{DataSource, Loader, LoaderOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = LoaderOptions { image_size: 64, batch_size: 32, seed: 1, ..LoaderOptions::default() };
/// let loader = Loader::new(&[DataSource::new("photos")], options)?;
/// let mut stream = loader.stream(0)?; // a run that resumes after batch 1000 says `stream(1000)`
/// for _ in 0..1000 {
///     let batch = stream.next()?;
///     assert_eq!(batch.images.len(), 32 * 3 * 64 * 64);
/// }
/// println!("waited {:?} for data", stream.waited());
/// # Ok(())
/// # }
/// ```
///
/// # Threads
/// Samples are decoded by a thread pool of the loader's own. In rayon's common pool a batch would wait behind the
/// matrix products of a training step, and a product behind the decoding of a large photo.
#[derive(Clone)]
pub struct Loader {
    shared: Arc<Shared>,
}

struct Shared {
    sources: Vec<Source>,
    options: LoaderOptions,
    mixture: Mixture,
    pool: rayon::ThreadPool,
    cache: Mutex<Cache>,
    /// By source and sample: why it cannot be read.
    damaged: Mutex<BTreeMap<(usize, usize), String>>,
}

/// One sample's texts; its picture is written straight into the batch.
type Described = (String, Option<u32>, Option<String>);

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Shared { sources, options, .. } = &*self.shared;
        f.debug_struct("Loader").field("sources", &sources.len()).field("options", options).finish_non_exhaustive()
    }
}

impl Loader {
    /// Opens all sources.
    ///
    /// # Errors
    /// [`DatasetError::NoSources`], [`DatasetError::Setting`], [`DatasetError::Threads`] and those of [`Source::open`].
    pub fn new(sources: &[DataSource], options: LoaderOptions) -> Result<Self> {
        options.check()?;
        if sources.is_empty() {
            return Err(DatasetError::NoSources);
        }
        let mixture = Mixture::new(&sources.iter().map(|source| source.weight).collect::<Vec<_>>())?;
        let sources: Vec<_> =
            sources.iter().map(|settings| Source::open(settings, options.image_size)).collect::<Result<_>>()?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(options.workers)
            .thread_name(|number| format!("tessera-loader-{number}"))
            .build()
            .map_err(|error| DatasetError::Threads { reason: error.to_string() })?;
        let cache = Mutex::new(Cache::new(options.cache_mib.saturating_mul(1 << 20)));
        let damaged = Mutex::default();
        Ok(Self { shared: Arc::new(Shared { sources, options, mixture, pool, cache, damaged }) })
    }

    /// The options it was made with.
    pub fn options(&self) -> &LoaderOptions {
        &self.shared.options
    }

    /// The sources, in the order given.
    pub fn sources(&self) -> &[Source] {
        &self.shared.sources
    }

    /// One more than the largest class of all sources; `None` without any label.
    pub fn classes(&self) -> Option<u64> {
        self.sources().iter().filter_map(Source::classes).max()
    }

    /// How often every source has been seen in full when batch `index` begins.
    pub fn epochs(&self, index: u64) -> Vec<f64> {
        let position = u128::from(index) * self.shared.options.batch_size as u128;
        let seen = self.shared.mixture.seen(position);
        seen.into_iter().zip(self.sources()).map(|(seen, source)| seen as f64 / source.len() as f64).collect()
    }

    /// Batch `index`: the same for the same sources, options (apart from workers, prefetch and cache) and index.
    ///
    /// Within an epoch every sample of a source comes once, in an order that the seed and the epoch decide. A damaged
    /// file is replaced by another sample of its source, see [`Loader::skipped`].
    ///
    /// # Errors
    /// With [`LoaderOptions::strict`] those of [`Source::load`]; otherwise [`DatasetError::OnlyDamagedSamples`].
    pub fn batch(&self, index: u64) -> Result<Batch> {
        self.shared.batch(index)
    }

    /// Computes batches `first`, `first + 1`, ... on a background thread, [`LoaderOptions::prefetch`] of them ahead.
    ///
    /// # Errors
    /// [`DatasetError::Threads`].
    pub fn stream(&self, first: u64) -> Result<Stream> {
        Stream::start(self.clone(), first, self.shared.options.prefetch)
    }

    /// The damaged samples met so far and what is wrong with them, in the order of the sources.
    pub fn skipped(&self) -> Vec<(String, String)> {
        let damaged = lock(&self.shared.damaged);
        let key = |&(source, sample): &(usize, usize)| self.sources().get(source)?.keys().nth(sample);
        damaged.iter().map(|(place, reason)| (key(place).unwrap_or_default().to_owned(), reason.clone())).collect()
    }

    /// Bytes of decoded pictures that the cache holds now.
    pub fn cached_bytes(&self) -> usize {
        lock(&self.shared.cache).bytes()
    }
}

impl Shared {
    fn batch(&self, index: u64) -> Result<Batch> {
        let (batch_size, image_size) = (self.options.batch_size, self.options.image_size);
        let plane = image_size as usize * image_size as usize;
        let mut images = vec![0.0; batch_size * 3 * plane];
        let first = u128::from(index) * batch_size as u128;
        let described: Vec<Result<Described>> = self.pool.install(|| {
            let places = images.par_chunks_exact_mut(3 * plane).enumerate().with_max_len(1);
            places.map(|(place, image)| self.sample(first + place as u128, image)).collect()
        });
        let mut batch = Batch {
            index,
            images,
            batch_size,
            image_size,
            labels: Vec::with_capacity(batch_size),
            captions: Vec::with_capacity(batch_size),
            keys: Vec::with_capacity(batch_size),
        };
        // The first failure in order counts, whichever thread was faster.
        for described in described {
            let (key, label, caption) = described?;
            batch.keys.push(key);
            batch.labels.push(label);
            batch.captions.push(caption);
        }
        Ok(batch)
    }

    /// Writes the sample at `position` of the whole run into `image`.
    fn sample(&self, position: u128, image: &mut [f32]) -> Result<Described> {
        let (number, before) = self.mixture.at(position);
        let source = self.sources.get(number).ok_or(DatasetError::NoSources)?;
        let len = source.len() as u64;
        let seed = self.options.seed;
        let (epoch, place) = (before / u128::from(len), (before % u128::from(len)) as u64);
        let order = Permutation::new(len, &[seed, number as u64, epoch as u64]);
        let mut index = order.at(place) as usize;

        let substitutes = Permutation::new(len, &[seed, number as u64, position as u64, (position >> 64) as u64, 1]);
        let mut last = String::new();
        for substitute in 0..len.min(MAX_TRIES) {
            let known = lock(&self.damaged).get(&(number, index)).cloned();
            match known {
                Some(reason) => last = reason,
                None => match self.load(source, number, index, position, image) {
                    Ok(described) => return Ok(described),
                    Err(error) if self.options.strict => return Err(error),
                    Err(error) => {
                        last = error.to_string();
                        lock(&self.damaged).insert((number, index), last.clone());
                    }
                },
            }
            index = substitutes.at(substitute) as usize;
        }
        let path = source.settings().path.clone();
        Err(DatasetError::OnlyDamagedSamples { path, tried: len.min(MAX_TRIES), last })
    }

    fn load(
        &self,
        source: &Source,
        number: usize,
        index: usize,
        position: u128,
        image: &mut [f32],
    ) -> Result<Described> {
        let prepared = self.prepared(source, number, index)?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.options.seed);
        // Positions beyond 2^64 repeat chances, not samples.
        rng.set_stream(position as u64);
        source.render(index, &prepared, &mut rng, image)?;
        source.describe(index)
    }

    /// From the cache, or decoded and put there.
    fn prepared(&self, source: &Source, number: usize, index: usize) -> Result<Arc<Prepared>> {
        if let Some(found) = lock(&self.cache).get((number, index)) {
            return Ok(found);
        }
        let prepared = Arc::new(source.prepare(index)?);
        lock(&self.cache).insert((number, index), Arc::clone(&prepared));
        Ok(prepared)
    }
}

/// Both locks guard plain collections that are whole at any time, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
