//! Data sources: folders, tars and webdataset shards of images, with tables of labels.
//!
//! ```text
//! DataSource ──open──▶ Source: keys, labels, places          (no image is decoded)
//!                        │ prepare(index)   read, decode, fit or build the pyramid    (slow; the loader caches it)
//!                        │ render           crop, background, mirror: the chances of one sample      (fast)
//!                        ▼
//!                      Sample [3, size, size]
//! ```

mod fitted;
mod labels;
mod listing;
mod place;
mod prepared;
mod pyramid;
mod settings;
mod shards;
mod split;
mod tar_index;

use std::path::PathBuf;

use rand::Rng;

pub(crate) use prepared::Prepared;
pub use settings::{Background, Crop, DataSource};

use crate::error::{DatasetError, Result};
use crate::load::{LoadOptions, decode_picture, decode_raster};
use crate::picture::Picture;
use listing::Found;
use place::Place;

/// The most pixels of a picture that is trained on (67,108,864, for example 8192x8192): every worker may hold one.
const MAX_TRAINING_PIXELS: u64 = 1 << 26;

/// The path of a sample up to the first dot of its file name: what the members of a webdataset sample share.
fn group_of(key: &str) -> &str {
    let name = key.rfind('/').map_or(0, |slash| slash + 1);
    let dot = key.get(name..).and_then(|file| file.find('.'));
    dot.and_then(|dot| key.get(..name + dot)).unwrap_or(key)
}

/// An opened data source: which samples there are, and where.
///
/// The samples are in the order of the tar, or of the paths in a folder. Of several images with one path in several
/// shards, a table's row belongs to the first.
#[derive(Debug)]
pub struct Source {
    settings: DataSource,
    size: u32,
    files: Vec<PathBuf>,
    entries: Vec<Entry>,
}

/// One sample before loading.
#[derive(Debug)]
struct Entry {
    key: String,
    place: Place,
    label: Option<u32>,
    caption: Caption,
    may_flip: bool,
}

/// Where a caption comes from.
#[derive(Debug)]
enum Caption {
    None,
    Text(String),
    Member(Place),
}

/// A sample ready for a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Path inside the source.
    pub key: String,
    /// `[3, size, size]` flattened, values in `[0, 1]`.
    pub image: Vec<f32>,
    /// The class.
    pub label: Option<u32>,
    /// The caption.
    pub caption: Option<String>,
}

/// A picture to evaluate on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Path inside the source.
    pub key: String,
    /// The picture.
    pub picture: Picture,
    /// The class.
    pub label: Option<u32>,
    /// The caption.
    pub caption: Option<String>,
}

impl Source {
    /// Finds the samples of `settings`; `size` is the side of the squares that [`Source::load`] gives.
    ///
    /// Reads tar headers, tables and `.cls` members; no image is opened.
    ///
    /// # Errors
    /// [`DatasetError::Setting`], [`DatasetError::Tar`], [`DatasetError::Labels`],
    /// [`DatasetError::LabelledFilesMissing`], [`DatasetError::NoSamples`], and those of reading.
    pub fn open(settings: &DataSource, size: u32) -> Result<Self> {
        settings.check()?;
        if size == 0 {
            return Err(DatasetError::Zero { what: "an image size" });
        }
        let listing = listing::list(&settings.path)?;
        let listed = listing.images.len();
        let mut entries = match &settings.labels {
            None => listing.images.into_iter().map(Entry::unlabelled).collect(),
            Some(labels) => {
                let table = labels::read(labels, settings)?;
                let entries = join(listing.images, table.rows, settings, labels)?;
                if table.split_known {
                    return Self { settings: settings.clone(), size, files: listing.files, entries }.or_empty(listed);
                }
                entries
            }
        };
        if let Some(split) = &settings.split {
            let belongs = |entry: &Entry| split::belongs(group_of(&entry.key), split, settings.holdout);
            // The answer fails for the first as for all, so none is lost here.
            let kept: Result<Vec<bool>> = entries.iter().map(belongs).collect();
            let mut kept = kept?.into_iter();
            entries.retain(|_| kept.next().unwrap_or(false));
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

    /// Sample `index` with crop, background and mirroring drawn from `rng`.
    ///
    /// # Errors
    /// [`DatasetError::NoSuchSample`], [`DatasetError::FileTooLarge`], [`DatasetError::NotText`], those of reading and
    /// of [`decode_picture`].
    pub fn load(&self, index: usize, rng: &mut impl Rng) -> Result<Sample> {
        let prepared = self.prepare(index)?;
        let mut image = vec![0.0; 3 * self.size as usize * self.size as usize];
        self.render(index, &prepared, rng, &mut image)?;
        let (key, label, caption) = self.describe(index)?;
        Ok(Sample { key, image, label, caption })
    }

    /// Sample `index` as it is evaluated: [`Crop::Fit`], never mirrored, on the fixed background (white for
    /// [`Background::RandomFlat`]).
    ///
    /// # Errors
    /// As [`Source::load`].
    pub fn example(&self, index: usize) -> Result<Example> {
        let entry = self.entry(index)?;
        let raster = decode_raster(&self.image_bytes(entry)?, &self.name(entry), &training_options())?;
        let picture = Prepared::fit(&raster, self.size)?.picture(self.settings.background.fixed())?;
        let (key, label, caption) = self.describe(index)?;
        Ok(Example { key, picture, label, caption })
    }

    /// All pictures in order at their original sizes, decoded one by one, on the fixed background (white for
    /// [`Background::RandomFlat`]): key and picture, or why it cannot be read.
    pub fn pictures(&self) -> impl ExactSizeIterator<Item = (&str, Result<Picture>)> {
        let options = LoadOptions { background: self.settings.background.fixed(), ..LoadOptions::default() };
        self.entries.iter().map(move |entry| {
            let bytes = self.image_bytes(entry);
            (entry.key.as_str(), bytes.and_then(|bytes| decode_picture(&bytes, &self.name(entry), &options)))
        })
    }

    /// Reads and decodes sample `index`, and does all that does not depend on chance.
    pub(crate) fn prepare(&self, index: usize) -> Result<Prepared> {
        let entry = self.entry(index)?;
        let raster = decode_raster(&self.image_bytes(entry)?, &self.name(entry), &training_options())?;
        match self.settings.crop {
            Crop::Fit => Ok(Prepared::Fitted(Prepared::fit(&raster, self.size)?)),
            Crop::Random => Ok(Prepared::Pyramid(Prepared::build_pyramid(raster, self.size, self.settings.scales))),
        }
    }

    /// Draws one view of a prepared sample into `image`, `[3, size, size]`.
    pub(crate) fn render(
        &self,
        index: usize,
        prepared: &Prepared,
        rng: &mut impl Rng,
        image: &mut [f32],
    ) -> Result<()> {
        // Drawn whether used or not, so that one setting does not change what another one draws.
        let (random_colour, mirrored) = (rng.random::<[u8; 3]>(), rng.random::<bool>());
        let background = match self.settings.background {
            Background::RandomFlat => random_colour,
            other => other.fixed(),
        };
        match prepared {
            Prepared::Fitted(fitted) => fitted.render(background, image),
            Prepared::Pyramid(pyramid) => pyramid.render(self.size, self.settings.scales, background, rng, image)?,
        }
        if mirrored && self.settings.flip && self.entry(index)?.may_flip {
            image.chunks_exact_mut(self.size as usize).for_each(<[f32]>::reverse);
        }
        Ok(())
    }

    /// Key, label and caption of sample `index`.
    pub(crate) fn describe(&self, index: usize) -> Result<(String, Option<u32>, Option<String>)> {
        let entry = self.entry(index)?;
        let caption = match &entry.caption {
            Caption::None => None,
            Caption::Text(text) => Some(text.clone()),
            Caption::Member(place) => {
                let name = format!("the caption of {}", self.name(entry));
                Some(place.text(self.file(*place), &name)?).filter(|text| !text.is_empty())
            }
        };
        Ok((entry.key.clone(), entry.label, caption))
    }

    fn entry(&self, index: usize) -> Result<&Entry> {
        self.entries.get(index).ok_or(DatasetError::NoSuchSample { index, len: self.len() })
    }

    fn image_bytes(&self, entry: &Entry) -> Result<Vec<u8>> {
        entry.place.image_bytes(self.file(entry.place), &self.name(entry))
    }

    fn file(&self, place: Place) -> &std::path::Path {
        self.files.get(place.file).unwrap_or(&self.settings.path)
    }

    /// For messages: the source and the path inside it.
    fn name(&self, entry: &Entry) -> String {
        let outer = if entry.place.span.is_some() { self.file(entry.place) } else { &self.settings.path };
        format!("{}/{}", outer.display(), entry.key)
    }
}

impl Entry {
    fn unlabelled(found: Found) -> Self {
        let caption = found.caption.map_or(Caption::None, Caption::Member);
        Self { key: found.key, place: found.place, label: found.label, caption, may_flip: true }
    }
}

/// The images that have a row, with what it says; every row needs its image.
fn join(
    images: Vec<Found>,
    mut rows: std::collections::HashMap<String, labels::Row>,
    settings: &DataSource,
    labels: &std::path::Path,
) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for found in images {
        let Some(row) = rows.remove(&found.key) else { continue };
        let mut entry = Entry::unlabelled(found);
        entry.may_flip = row.may_flip;
        if settings.class_column.is_some() {
            entry.label = row.label;
        }
        if let Some(text) = row.caption {
            entry.caption = Caption::Text(text);
        }
        entries.push(entry);
    }
    match rows.keys().min() {
        None => Ok(entries),
        Some(first) => Err(DatasetError::LabelledFilesMissing {
            labels: labels.to_path_buf(),
            path: settings.path.clone(),
            missing: rows.len(),
            first: first.clone(),
        }),
    }
}

fn training_options() -> LoadOptions {
    LoadOptions { max_pixels: MAX_TRAINING_PIXELS, ..LoadOptions::default() }
}

/// A fixed set of pictures to evaluate on: at most `limit` samples of the source (of its split), in order and evenly
/// spread over it, each as [`Source::example`] gives it.
///
/// # Errors
/// Those of [`Source::open`] and [`Source::example`]: a damaged file ends it, since a set that shrinks in silence makes
/// figures incomparable.
pub fn validation(settings: &DataSource, size: u32, limit: usize) -> Result<Vec<Example>> {
    let source = Source::open(settings, size)?;
    let count = limit.min(source.len());
    // `usize` to `u128` and back: the quotient is below `len`.
    let place = |number: usize| (number as u128 * source.len() as u128 / count as u128) as usize;
    (0..count).map(|number| source.example(place(number))).collect()
}
