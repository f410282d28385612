//! Trainings of generators on codes, made of a [`GeneratorObjective`].

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tessera_datasets::{Picture, Sheet};
use tessera_generators::{Condition, GenerateOptions, Generator, Words};
use tessera_layers::ParamSpec;
use tessera_tokenizers::DecodeOptions;

use super::codes::{CodeBatch, CodeCache, CodeFeed, Dropping};
use super::feed::open_loader;
use super::objective::Losses;
use super::training::{Pass, Training};
use super::{TrainConfig, TrainError, ValidationLine};
use crate::Codec;

/// How one kind of generator is trained.
pub trait GeneratorObjective {
    /// The network that is trained.
    type Network: Module;

    /// The parameters by released name.
    fn specs(&self) -> &[ParamSpec];

    /// Runs the network on codes, teacher-forced. All of chance comes from `rng`.
    ///
    /// # Errors
    /// [`TrainError`] if the codes do not fit.
    fn losses(
        &self,
        network: &Self::Network,
        batch: &CodeBatch,
        rng: &mut ChaCha8Rng,
    ) -> Result<GeneratorLosses, TrainError>;

    /// `config.json` of the finished network.
    fn config(&self) -> serde_json::Value;

    /// The network as a generator, for samples; on the device without autodiff.
    ///
    /// # Errors
    /// [`TrainError`] if the configuration does not fit together.
    fn generator(&self, network: Self::Network) -> Result<Box<dyn Generator>, TrainError>;

    /// The name of the main term.
    fn main_term(&self) -> &'static str;
}

/// What codes come to.
pub struct GeneratorLosses {
    /// The main term.
    pub main: Tensor<1>,
    /// The main term by position, or by entity, in the order of generation.
    pub by_position: Tensor<1>,
    /// Further terms: name, weight, value before the weight.
    pub others: Vec<(&'static str, f64, Tensor<1>)>,
}

/// What a generator learns of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodesOf {
    /// Ids.
    Ids,
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
}

impl TrainingCodes {
    /// Encodes the sources and the validation set below `out` (or where the settings say), as far as that is not done yet.
    /// `progress` hears how many items of how many are done.
    ///
    /// # Errors
    /// [`TrainError`] if pictures or the tokenizer cannot be read.
    pub fn open(
        config: &TrainConfig,
        of: CodesOf,
        out: &Path,
        device: &Device,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, TrainError> {
        let section = &config.generator;
        let encoder = Codec::open(section.tokenizer.as_deref(), device)?;
        let encoder = match of {
            CodesOf::Ids => encoder,
            CodesOf::Latents => encoder.with_latents()?,
        };
        let folder = section.cache.clone().unwrap_or_else(|| out.join("codes"));
        let mut encode = |config: &TrainConfig, folder: &Path, views: usize| {
            let loader = open_loader(config, encoder.side())?;
            let sources = config.essence_of_sources()?;
            CodeCache::open(folder, &encoder, &loader, &sources, views, device, progress)
        };
        let cache = Arc::new(encode(config, &folder.join("train"), section.views)?);
        let held_out = match &config.validation.source {
            Some(source) => {
                let mut config = config.clone();
                config.data.sources = vec![source.clone()];
                Some(encode(&config, &folder.join("validation"), 1)?)
            }
            None => None,
        };
        Ok(Self { encoder, cache, held_out })
    }

    /// All words of the captions to learn from, sorted.
    ///
    /// # Errors
    /// [`TrainError`] if there is none.
    pub fn words(&self) -> Result<Words, TrainError> {
        let captions = self.cache.captions().iter().flatten();
        let mut words: Vec<String> = captions.flat_map(|caption| Words::split(caption)).collect();
        words.sort_unstable();
        words.dedup();
        Words::try_from(words).map_err(|error| TrainError::Load(error.into()))
    }
}

/// A generator that learns from codes.
pub struct OnCodes<O> {
    objective: O,
    codes: TrainingCodes,
    words: Option<Words>,
    most_words: usize,
    samples: Vec<String>,
    pictures: usize,
    device: Device,
}

/// Items of a pass of validation.
const AT_ONCE: usize = 32;

impl<O: GeneratorObjective> OnCodes<O> {
    /// The training of `objective` on `codes`, whose captions become `words`, `most_words` of each at most. `device` has no
    /// autodiff.
    pub fn new(
        config: &TrainConfig,
        objective: O,
        codes: TrainingCodes,
        (words, most_words): (Option<Words>, usize),
        device: &Device,
    ) -> (Self, CodeFeed) {
        let section = &config.generator;
        let dropping = Dropping { all: section.condition_dropout, part: section.word_dropout };
        let feed = CodeFeed::new(
            Arc::clone(&codes.cache),
            (words.clone(), most_words),
            dropping,
            config.run.batch_size,
            config.run.seed,
            device.clone().autodiff(),
        );
        let (samples, pictures) = (section.samples.clone(), config.validation.validation_pictures);
        (Self { objective, codes, words, most_words, samples, pictures, device: device.clone() }, feed)
    }

    fn condition(&self, count: usize) -> Condition {
        match (&self.words, self.samples.is_empty()) {
            (Some(_), false) => Condition::Captions(self.samples.iter().cycle().take(count).cloned().collect()),
            _ => Condition::Unconditional(count),
        }
    }
}

impl<O: GeneratorObjective> Training for OnCodes<O> {
    type Network = O::Network;
    type Feed = CodeFeed;

    fn specs(&self) -> &[ParamSpec] {
        self.objective.specs()
    }

    fn is_trained(&self, _name: &str) -> bool {
        true
    }

    fn losses(
        &self,
        network: &O::Network,
        batch: CodeBatch,
        _step: u64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Pass, TrainError> {
        let losses = self.objective.losses(network, &batch, rng)?;
        let losses = Losses {
            reconstruction: losses.main,
            quantizer: None,
            others: losses.others,
            indices: None,
            latents: None,
            image: None,
        };
        Ok(Pass { losses, images: None })
    }

    /// The mean loss over held-out items, spread evenly over the set; draws of chance are the same each time.
    fn judge(&self, network: &O::Network) -> Result<Option<ValidationLine>, TrainError> {
        let Some(held_out) = &self.codes.held_out else { return Ok(None) };
        let count = held_out.len().min(self.pictures);
        let places: Vec<usize> = (0..count).map(|number| number * held_out.len() / count.max(1)).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut sums: Vec<f64> = Vec::new();
        for part in places.chunks(AT_ONCE) {
            let batch = CodeFeed::whole(held_out, part, self.words.as_ref(), self.most_words, &self.device);
            let losses = self.objective.losses(network, &batch, &mut rng)?;
            let means: Vec<f64> = losses.by_position.into_data().iter().collect();
            sums.resize(means.len(), 0.0);
            for (sum, mean) in sums.iter_mut().zip(means) {
                *sum += mean * part.len() as f64;
            }
        }
        let by_position: Vec<f64> = sums.iter().map(|sum| sum / count.max(1) as f64).collect();
        let loss = by_position.iter().sum::<f64>() / by_position.len().max(1) as f64;
        Ok(Some(ValidationLine { loss: Some(loss), loss_by_position: by_position, ..ValidationLine::default() }))
    }

    /// Generated pictures, with the captions that the settings ask for.
    fn sheet(&self, network: &O::Network, count: usize) -> Result<Option<Picture>, TrainError> {
        let generator = self.objective.generator(network.clone())?;
        let condition = self.condition(count);
        let generated =
            generator.generate(&condition, &GenerateOptions::default(), &mut |_| ControlFlow::Continue(()))?;
        let mut sheet = Sheet::new().with_cell_side(128);
        for (index, picture) in
            self.codes.encoder.decode(&generated, &DecodeOptions::default())?.into_iter().enumerate()
        {
            let caption = match &condition {
                Condition::Captions(captions) => captions.get(index).map(String::as_str),
                _ => None,
            };
            sheet = sheet.push(picture, caption.as_slice());
        }
        Ok(Some(sheet.draw()?))
    }

    fn config(&self, _network: &O::Network) -> serde_json::Value {
        self.objective.config()
    }

    fn main_term(&self) -> &'static str {
        self.objective.main_term()
    }
}
