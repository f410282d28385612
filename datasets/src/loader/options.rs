//! [`LoaderOptions`].

use serde::{Deserialize, Serialize};

use crate::error::{DatasetError, Result};

/// The most values in the pictures of one batch (4 GiB of them).
const MAX_VALUES: u64 = 1 << 30;
/// The most batches that may wait.
const MAX_PREFETCH: usize = 1024;

/// The most threads that decode.
const MAX_WORKERS: usize = 1024;

/// How batches are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoaderOptions {
    /// Side of the square pictures; 64 by default.
    pub image_size: u32,
    /// Samples in a batch; 64 by default.
    pub batch_size: usize,
    /// Decides order, crops, backgrounds and mirroring; 0 by default.
    pub seed: u64,
    /// Makes the first damaged file an error. Off by default: it is listed and replaced.
    pub strict: bool,
    /// Threads that decode; 0 (the default) for as many as the machine has cores.
    pub workers: usize,
    /// Batches that a [`crate::Stream`] computes ahead; 4 by default.
    pub prefetch: usize,
    /// MiB of decoded pictures kept in memory, the least recently used leaving first; 512 by default, 0 for none.
    pub cache_mib: usize,
}

impl Default for LoaderOptions {
    fn default() -> Self {
        Self { image_size: 64, batch_size: 64, seed: 0, strict: false, workers: 0, prefetch: 4, cache_mib: 512 }
    }
}

impl LoaderOptions {
    /// Refuses numbers outside their ranges.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |setting, expected, found: String| Err(DatasetError::Setting { setting, expected, found });
        if self.image_size == 0 {
            return wrong("image_size", "a side of at least 1", "0".into());
        }
        let pixels = u64::from(self.image_size).pow(2);
        let values = (self.batch_size as u64).checked_mul(3).and_then(|planes| planes.checked_mul(pixels));
        if self.batch_size == 0 || values.is_none_or(|values| values > MAX_VALUES) {
            let found = format!("{} pictures of {} pixels", self.batch_size, pixels);
            return wrong("batch_size", "at least 1 and at most 2^30 values in all pictures together", found);
        }
        if !(1..=MAX_PREFETCH).contains(&self.prefetch) {
            return wrong("prefetch", "1 to 1024 batches", self.prefetch.to_string());
        }
        if self.workers > MAX_WORKERS {
            return wrong("workers", "0 to 1024 threads", self.workers.to_string());
        }
        Ok(())
    }
}
