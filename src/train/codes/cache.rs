//! [`CodeCache`]: encoding a data set once, and what was encoded.

use std::ops::Range;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use tessera_datasets::{Loader, Source};
use tessera_generators::{Content, Generated};
use tessera_tokenizers::{Fingerprint, Input, TokenLayout};

use super::batch::CodeValues;
use super::shard::{Described, Shard};
use crate::Codec;
use crate::train::TrainError;
use crate::train::checkpoint::{io, write};

/// Items of a shard.
const SHARD: usize = 1024;

/// Codes of a data set, all in memory.
pub struct CodeCache {
    values: CodeValues,
    layout: TokenLayout,
    described: Described,
    fingerprint: Fingerprint,
}

/// Codes of a run of items, and what stands beside them.
pub(in crate::train) type Encode<'a> = dyn FnMut(Range<usize>) -> Result<(Generated, Described), TrainError> + 'a;

/// What is encoded: a folder that says anything else holds other codes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    version: u32,
    tokenizer: String,
    items: usize,
    sources: String,
}

impl CodeCache {
    /// The codes of the first `views` passes over a loader's sources, encoded into `folder` as far as they are not there yet.
    /// `sources` says what the loader reads, as text. `progress` hears how many items of how many are done.
    ///
    /// # Errors
    /// [`TrainError`] if the folder holds other codes, a picture cannot be encoded, or a file not be read or written.
    pub fn open(
        folder: &Path,
        encoder: &Codec,
        loader: &Loader,
        sources: &str,
        views: usize,
        device: &Device,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, TrainError> {
        let items = loader.sources().iter().map(Source::len).sum::<usize>().saturating_mul(views.max(1));
        let batch = loader.options().batch_size.max(1);
        // The part of a batch of the loader that is asked for.
        let mut encode = |items: Range<usize>| {
            let first = items.start / batch;
            let read = loader.batch(first as u64)?;
            let part = items.start - first * batch..items.end - first * batch;
            let side = usize::try_from(read.image_size).unwrap_or(usize::MAX);
            let images = TensorData::new(read.images, [read.batch_size, 3, side, side]);
            let images = Tensor::<4>::from_data(images, device).slice([part.clone()]);
            let captions = read.captions.get(part.clone()).unwrap_or_default().to_vec();
            let labels = read.labels.get(part).unwrap_or_default().to_vec();
            Ok((encoder.encode(&Input::Images(images))?, Described { captions, labels }))
        };
        Self::made(folder, encoder, sources, [items, batch], &mut encode, progress)
    }

    /// The codes of `items` items, encoded into `folder` as far as they are not there yet. `encode` gives those of a run of items,
    /// which never crosses a multiple of `batch`. `sources` says what is encoded, as text.
    ///
    /// # Errors
    /// [`TrainError`] if the folder holds other codes, an item cannot be encoded, or a file not be read or written.
    pub(in crate::train) fn made(
        folder: &Path,
        encoder: &Codec,
        sources: &str,
        [items, batch]: [usize; 2],
        encode: &mut Encode<'_>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, TrainError> {
        let fingerprint = encoder.fingerprint();
        let about = About { version: 1, tokenizer: fingerprint.to_string(), items, sources: sources.to_owned() };
        claim(folder, &about)?;
        let mut cache = Self::empty(encoder);
        let batch = batch.max(1);
        for (index, first) in (0..items).step_by(SHARD).enumerate() {
            let last = items.min(first + SHARD);
            let shard = Shard::new(folder, index, &cache.values);
            if !shard.is_there() {
                let (mut values, mut described) = (Self::empty(encoder).values, Described::default());
                let mut at = first;
                while at < last {
                    let end = last.min((at / batch + 1) * batch);
                    let (codes, of_items) = encode(at..end)?;
                    values.extend(CodeValues::of(codes));
                    described.extend(of_items);
                    at = end;
                    progress(at, items);
                }
                shard.write(&values, &described, &cache.layout, fingerprint)?;
            }
            // What is read back is what a later run will read.
            let (values, described) = shard.read(&cache.values, &cache.layout, fingerprint)?;
            cache.values.extend(values);
            cache.described.extend(described);
            progress(last, items);
        }
        Ok(cache)
    }

    fn empty(encoder: &Codec) -> Self {
        let values = match encoder.content() {
            Content::Latents { channels } => CodeValues::Latents(Vec::new(), channels),
            Content::Codes { vocab } => CodeValues::Ids(Vec::new(), vocab),
            _ => CodeValues::Ids(Vec::new(), Vec::new()),
        };
        let (layout, fingerprint) = (encoder.layout(), encoder.fingerprint());
        Self { values, layout, described: Described::default(), fingerprint }
    }

    /// Items.
    pub fn len(&self) -> usize {
        self.described.captions.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Caption of each item.
    pub fn captions(&self) -> &[Option<String>] {
        &self.described.captions
    }

    /// Class of each item.
    pub fn labels(&self) -> &[Option<u32>] {
        &self.described.labels
    }

    /// The codes, item by item.
    pub(super) fn values(&self) -> &CodeValues {
        &self.values
    }

    /// Arrangement of an item's positions.
    pub fn layout(&self) -> &TokenLayout {
        &self.layout
    }

    /// The model that encoded.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// Makes `folder` one of these codes, or finds that it is.
fn claim(folder: &Path, about: &About) -> Result<(), TrainError> {
    std::fs::create_dir_all(folder).map_err(|source| io(folder, source))?;
    let path = folder.join("codes.json");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(io(&path, source)),
    };
    match text {
        Some(text) if serde_json::from_str::<About>(&text).is_ok_and(|found| found == *about) => Ok(()),
        Some(_) => Err(TrainError::Folder {
            folder: folder.to_owned(),
            found: "holds codes of other pictures, or of another tokenizer",
            advice: "remove it, or name another folder with generator.cache",
        }),
        None => {
            let text = serde_json::to_vec_pretty(about).map_err(|error| TrainError::Report(error.to_string()))?;
            write(&path, &text)
        }
    }
}
