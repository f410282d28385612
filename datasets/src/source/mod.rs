//! Data sources: folders, tars and webdataset shards of images, with tables of labels.
//!
//! ```text
//! DataSource ──open──▶ Source: keys, labels, places          (no image is decoded)
//!                        │ prepare(index)   read, decode, fit or build the pyramid    (slow; the loader caches it)
//!                        │ render           crop, background, mirror: the chances of one sample      (fast)
//!                        ▼
//!                      Sample [3, size, size]
//! ```

mod entry;
mod evaluation;
mod fitted;
mod labels;
mod listing;
mod loading;
mod place;
mod prepared;
mod pyramid;
mod settings;
mod shards;
mod split;
mod tar_index;

use std::path::{Path, PathBuf};

pub use evaluation::{Example, validation};
pub(crate) use labels::{open_table, table_error, wrong_row};
pub use loading::Sample;
pub(crate) use prepared::Prepared;
pub use settings::{Background, Crop, DataSource};

use crate::error::{DatasetError, Result};
use crate::picture::checked_pixels;
use entry::{Caption, Entry};
use place::Place;

/// An opened data source: which samples there are, and where.
///
/// The samples are in the order of the tar, or of the paths in a folder. Of several images with one path in several
/// shards, a table's row belongs to the first.
pub struct Source {
    settings: DataSource,
    size: u32,
    files: Vec<PathBuf>,
    entries: Vec<Entry>,
}

impl std::fmt::Debug for Source {
    /// Settings and length: a line per sample helps nobody.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Source");
        debug.field("settings", &self.settings).field("size", &self.size).field("len", &self.len());
        debug.finish_non_exhaustive()
    }
}

impl Source {
    /// Finds the samples of `settings`; `size` is the side of the squares that [`Source::load`] gives.
    ///
    /// Reads tar headers, tables and `.cls` members; no image is opened.
    ///
    /// # Errors
    /// [`DatasetError::Setting`], [`DatasetError::Tar`], [`DatasetError::Labels`],
    /// [`DatasetError::LabelledFilesMissing`], [`DatasetError::NoSamples`], those of reading, and for the size
    /// [`DatasetError::Zero`] and [`DatasetError::TooLarge`].
    pub fn open(settings: &DataSource, size: u32) -> Result<Self> {
        settings.check()?;
        checked_pixels(size, size, "a sample")?;
        let listing = listing::list(&settings.path)?;
        let listed = listing.images.len();
        let (mut entries, split_known) = match &settings.labels {
            None => (listing.images.into_iter().map(Entry::unlabelled).collect(), false),
            Some(labels) => {
                let table = labels::read(labels, settings)?;
                (entry::labelled(listing.images, table.rows, settings, labels)?, table.split_known)
            }
        };
        if let (Some(split), false) = (&settings.split, split_known) {
            entries = entry::of_split(entries, split, settings.holdout)?;
        }
        Self { settings: settings.clone(), size, files: listing.files, entries }.or_empty(listed)
    }

    /// Refuses to be empty; `listed` is the number of images before labels and split.
    fn or_empty(self, listed: usize) -> Result<Self> {
        if !self.entries.is_empty() {
            return Ok(self);
        }
        let reason = match (listed, &self.settings.split) {
            (0, _) => "it holds no PNG, JPEG or WebP file".to_owned(),
            (_, Some(split)) => format!(
                "none of its {listed} images belongs to the split {split:?} (`holdout` is {})",
                self.settings.holdout
            ),
            (_, None) => format!("its table names none of its {listed} images"),
        };
        Err(DatasetError::NoSamples { path: self.settings.path, reason })
    }

    /// The settings it was opened with.
    pub fn settings(&self) -> &DataSource {
        &self.settings
    }

    /// Number of samples, at least 1.
    #[allow(clippy::len_without_is_empty, reason = "an opened source is never empty")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The samples' paths inside the source, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.iter().map(|entry| entry.key.as_str())
    }

    /// The samples' classes, in order.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = Option<u32>> {
        self.entries.iter().map(|entry| entry.label)
    }

    /// One more than the largest class; `None` without any label.
    pub fn classes(&self) -> Option<u64> {
        self.labels().flatten().max().map(|largest| u64::from(largest) + 1)
    }

    /// Entry `index`.
    fn entry(&self, index: usize) -> Result<&Entry> {
        self.entries.get(index).ok_or(DatasetError::NoSuchSample { index, len: self.len() })
    }

    /// The encoded image.
    fn image_bytes(&self, entry: &Entry) -> Result<Vec<u8>> {
        entry.place.image_bytes(self.file(entry.place), &self.name(entry))
    }

    /// The path of the file that `place` is in.
    fn file(&self, place: Place) -> &Path {
        self.files.get(place.file).unwrap_or(&self.settings.path)
    }

    /// For messages: the source and the path inside it.
    fn name(&self, entry: &Entry) -> String {
        let outer = if entry.place.span.is_some() { self.file(entry.place) } else { &self.settings.path };
        format!("{}/{}", outer.display(), entry.key)
    }
}
