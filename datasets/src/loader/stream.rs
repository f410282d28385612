//! [`Stream`]: batches computed ahead on a background thread.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Loader;
use super::batch::Batch;
use crate::error::{DatasetError, Result};

/// Batches in order; made by [`Loader::stream`].
///
/// At most [`crate::LoaderOptions::prefetch`] batches wait, and one more is being computed. Dropping the stream ends its
/// thread.
#[derive(Debug)]
pub struct Stream {
    /// `None` only while dropping.
    batches: Option<Receiver<Result<Batch>>>,
    thread: Option<JoinHandle<()>>,
    waited: Duration,
}

impl Stream {
    pub(super) fn start(loader: Loader, first: u64, prefetch: usize) -> Result<Self> {
        let (sender, batches) = sync_channel(prefetch);
        let work = move || {
            for index in first..=u64::MAX {
                let batch = loader.batch(index);
                let failed = batch.is_err();
                if sender.send(batch).is_err() || failed {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("tessera-stream".to_owned()).spawn(work);
        let thread = thread.map_err(|error| DatasetError::Threads { reason: error.to_string() })?;
        Ok(Self { batches: Some(batches), thread: Some(thread), waited: Duration::ZERO })
    }

    /// The next batch; waits for it if need be.
    ///
    /// # Errors
    /// Those of [`Loader::batch`], after which the stream ends, and then [`DatasetError::StreamEnded`].
    #[allow(clippy::should_implement_trait, reason = "it never ends but by an error, so `Option` would be in the way")]
    pub fn next(&mut self) -> Result<Batch> {
        let start = Instant::now();
        let received = self.batches.as_ref().and_then(|batches| batches.recv().ok());
        self.waited += start.elapsed();
        received.unwrap_or(Err(DatasetError::StreamEnded))
    }

    /// How long [`Stream::next`] has waited in all: near zero if loading keeps up with training.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Without a receiver the thread's next send fails and it ends.
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has already been reported by the channel's end.
            let _ended = thread.join();
        }
    }
}
