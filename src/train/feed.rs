//! [`Feed`]: where the batches of a training come from.

use std::time::Duration;

use burn::tensor::{Device, Tensor, TensorData};
use tessera_datasets::{Loader, LoaderOptions, Source, Stream};

use super::{TrainConfig, TrainError};

/// Gives batch after batch. Batch `i` is a function of the settings and of `i`, so that a run can be resumed anywhere.
pub trait Feed {
    /// What a forward pass takes.
    type Batch;

    /// Makes `first` the next batch.
    ///
    /// # Errors
    /// [`TrainError`] if there is nothing to read from.
    fn start(&mut self, first: u64) -> Result<(), TrainError>;

    /// The next batch.
    ///
    /// # Errors
    /// [`TrainError`] if it cannot be read.
    fn next(&mut self) -> Result<Self::Batch, TrainError>;

    /// Items of a batch.
    fn batch_size(&self) -> usize;

    /// Items of each source.
    fn items(&self) -> Vec<usize>;

    /// How long [`Feed::next`] has waited for data in all.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }

    /// Items that could not be read, and why.
    fn skipped(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// Pictures `[batch, 3, side, side]` in 0..=1, decoded ahead on threads of their own, on an autodiff device.
pub struct PictureFeed {
    loader: Loader,
    stream: Option<Stream>,
    device: Device,
}

/// The loader of a training's pictures of `side` pixels.
///
/// # Errors
/// [`TrainError::Data`] if a source cannot be opened.
pub fn open_loader(config: &TrainConfig, side: usize) -> Result<Loader, TrainError> {
    let options = LoaderOptions {
        image_size: u32::try_from(side).unwrap_or(u32::MAX),
        batch_size: config.run.batch_size,
        seed: config.run.seed,
        strict: config.data.strict,
        workers: config.data.workers,
        prefetch: config.data.prefetch,
        cache_mib: config.data.cache_mib,
    };
    Ok(Loader::new(&config.data.sources, options)?)
}

impl PictureFeed {
    /// Pictures of a loader.
    pub fn new(loader: Loader, device: Device) -> Self {
        Self { loader, stream: None, device }
    }
}

impl Feed for PictureFeed {
    type Batch = Tensor<4>;

    fn start(&mut self, first: u64) -> Result<(), TrainError> {
        self.stream = Some(self.loader.stream(first)?);
        Ok(())
    }

    fn next(&mut self) -> Result<Tensor<4>, TrainError> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            empty => empty.insert(self.loader.stream(0)?),
        };
        let batch = stream.next()?;
        let side = usize::try_from(batch.image_size).unwrap_or(usize::MAX);
        Ok(Tensor::from_data(TensorData::new(batch.images, [batch.batch_size, 3, side, side]), &self.device))
    }

    fn batch_size(&self) -> usize {
        self.loader.options().batch_size
    }

    fn items(&self) -> Vec<usize> {
        self.loader.sources().iter().map(Source::len).collect()
    }

    fn waited(&self) -> Duration {
        self.stream.as_ref().map_or(Duration::ZERO, Stream::waited)
    }

    fn skipped(&self) -> Vec<(String, String)> {
        self.loader.skipped()
    }
}
