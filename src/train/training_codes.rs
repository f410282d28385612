//! [`TrainingCodes`]: what a generator learns from and is judged by, as a tokenizer's output.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use tessera_generators::Words;

use super::codes::CodeCache;
use super::feed::open_loader;
use super::shape_codes::ShapeSet;
use super::{TrainConfig, TrainError};
use crate::Codec;

/// What a generator learns of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodesOf {
    /// Ids.
    Ids,
    /// Ids, scale by scale: where no tokenizer is named, those of shapes.
    Scales,
    /// Latents: those of an autoencoder, or code vectors of a tokenizer.
    Latents,
}

/// The codes that a training learns from and is judged by.
pub struct TrainingCodes {
    /// What encodes and decodes.
    pub encoder: Codec,
    /// To learn from.
    pub cache: Arc<CodeCache>,
    /// To judge by.
    pub held_out: Option<CodeCache>,
    /// Names of the classes, where they have names.
    pub classes: Vec<String>,
    /// What could not be read, and why.
    pub skipped: Vec<(String, String)>,
}

impl TrainingCodes {
    /// Encodes the sources and the validation set below `out` (or where the settings say), as far as that is not done yet: pictures, or
    /// shapes where the tokenizer is one of shapes. Without a tokenizer in the settings the built-in one serves. `progress` hears how many
    /// items of how many are done.
    ///
    /// # Errors
    /// [`TrainError`] if pictures, shapes or the tokenizer cannot be read.
    pub fn open(
        config: &TrainConfig,
        of: CodesOf,
        out: &Path,
        device: &Device,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, TrainError> {
        let section = &config.generator;
        let encoder = match (section.tokenizer.as_deref(), of) {
            (None, CodesOf::Scales) => Codec::Tokens(crate::default_shape_tokenizer(device)?),
            (spec, _) => Codec::open(spec, device)?,
        };
        let encoder = match of {
            CodesOf::Ids | CodesOf::Scales => encoder.with_one_code(),
            CodesOf::Latents => encoder.with_latents()?,
        };
        let folder = section.cache.clone().unwrap_or_else(|| out.join("codes"));
        let [learnt, judged] = ["train", "validation"].map(|part| folder.join(part));
        if let Some(kind) = encoder.of_shapes().map(|tokenizer| tokenizer.info().input) {
            check_shapes(config)?;
            let shapes = ShapeSet::to_learn(config)?;
            let cache = Arc::new(shapes.encode(&learnt, &encoder, kind, device, progress)?);
            let held_out = ShapeSet::to_judge(config, shapes.classes())?;
            let held_out =
                held_out.map(|shapes| shapes.encode(&judged, &encoder, kind, device, progress)).transpose()?;
            let (classes, skipped) = (shapes.classes().to_vec(), shapes.skipped());
            return Ok(Self { encoder, cache, held_out, classes, skipped });
        }
        config.check_sources()?;
        let mut encode = |config: &TrainConfig, folder: &Path, views: usize| {
            let loader = open_loader(config, encoder.side())?;
            let sources = config.essence_of_sources()?;
            CodeCache::open(folder, &encoder, &loader, &sources, views, device, progress)
        };
        let cache = Arc::new(encode(config, &learnt, section.views)?);
        let held_out = match &config.validation.source {
            Some(source) => {
                let mut config = config.clone();
                config.data.sources = vec![source.clone()];
                Some(encode(&config, &judged, 1)?)
            }
            None => None,
        };
        Ok(Self { encoder, cache, held_out, classes: Vec::new(), skipped: Vec::new() })
    }

    /// All words of the captions to learn from, sorted, with the names of each tag: the words that are no tags of the captions
    /// that have its tag. Captions of more than `most` words give none.
    ///
    /// # Errors
    /// [`TrainError`] if there is none.
    pub fn words(&self, most: usize) -> Result<Words, TrainError> {
        let captions = self.cache.captions().iter().flatten();
        let mut words: Vec<String> = captions.flat_map(|caption| Words::split(caption)).collect();
        words.sort_unstable();
        words.dedup();
        let mut subjects = BTreeMap::<String, BTreeSet<String>>::new();
        for caption in self.cache.captions().iter().flatten() {
            let (tags, name): (Vec<_>, Vec<_>) = Words::split(caption).partition(|word| word.contains('='));
            let fits = !name.is_empty() && tags.len() + name.len() <= most;
            for tag in tags.into_iter().filter(|_| fits) {
                subjects.entry(tag).or_default().insert(name.join(" "));
            }
        }
        let subjects = subjects.into_iter().map(|(tag, names)| (tag, names.into_iter().collect())).collect();
        let words = Words::try_from(words).and_then(|words| words.with_subjects(subjects));
        words.map_err(|error| TrainError::Load(error.into()))
    }
}

/// Refuses sources of pictures beside a tokenizer of shapes, and lattices that there are not.
fn check_shapes(config: &TrainConfig) -> Result<(), TrainError> {
    let (sources, validation) = (config.data.sources.first(), config.validation.source.as_ref());
    for (key, source) in [("data.sources", sources), ("validation.source", validation)] {
        if let Some(source) = source {
            let expected = "none beside a tokenizer of shapes (--meshes and --shapes name shapes)".to_owned();
            return Err(TrainError::Invalid { key, expected, found: source.path.display().to_string() });
        }
    }
    for (key, side) in [("shape.lattice", config.shape.lattice), ("shape.sample_lattice", config.shape.sample_lattice)]
    {
        if !(2..=1025).contains(&side) {
            let expected = "a number from 2 to 1025".to_owned();
            return Err(TrainError::Invalid { key, expected, found: side.to_string() });
        }
    }
    Ok(())
}
