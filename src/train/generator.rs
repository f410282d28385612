//! Trainings of generators on codes, made of a [`GeneratorObjective`].

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tessera_datasets::shape::{RenderOptions, View, render};
use tessera_datasets::{Picture, Sheet};
use tessera_generators::{Condition, GenerateOptions, Generated, Generator, GeneratorInfo, Words};
use tessera_layers::ParamSpec;
use tessera_tokenizers::DecodeOptions;

use super::codes::{CodeBatch, CodeFeed, Dropping};
use super::objective::Losses;
use super::training::{Pass, Training};
use super::training_codes::TrainingCodes;
use super::{TrainConfig, TrainError, ValidationLine};
use crate::decode_shapes;

/// How one kind of generator is trained.
pub trait GeneratorObjective {
    /// The network that is trained.
    type Network: Module;

    /// The parameters by released name.
    fn specs(&self) -> &[ParamSpec];

    /// Whether the optimiser may change this parameter.
    fn is_trained(&self, _name: &str) -> bool {
        true
    }

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
    /// The main term, a mean over items.
    pub main: Tensor<1>,
    /// The main term by position, by scale or by entity, in the order of generation.
    pub by_position: Tensor<1>,
    /// Further terms: name, weight, value before the weight.
    pub others: Vec<(&'static str, f64, Tensor<1>)>,
}

/// A generator that learns from codes.
pub struct OnCodes<O> {
    objective: O,
    codes: TrainingCodes,
    words: Option<Words>,
    most_words: usize,
    samples: Vec<String>,
    pictures: usize,
    /// Samples along a side of the lattice on which surfaces of shapes are found.
    lattice: usize,
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
        let feed = feed.with_skipped(codes.skipped.clone());
        let (samples, pictures) = (section.samples.clone(), config.validation.validation_pictures);
        let (lattice, device) = (config.shape.sample_lattice, device.clone());
        (Self { objective, codes, words, most_words, samples, pictures, lattice, device }, feed)
    }

    /// What a sample sheet of so many samples shows, and the caption of each.
    fn condition(&self, info: &GeneratorInfo, count: usize) -> (Condition, Vec<String>) {
        let known: BTreeSet<u32> = self.codes.cache.labels().iter().flatten().copied().collect();
        match (&self.words, info.classes) {
            (Some(_), _) if !self.samples.is_empty() => {
                let captions: Vec<String> = self.samples.iter().cycle().take(count).cloned().collect();
                (Condition::Captions(captions.clone()), captions)
            }
            (None, Some(classes)) => {
                let fits = |class: &&u32| usize::try_from(**class).is_ok_and(|class| class < classes);
                let classes: Vec<u32> = known.iter().filter(fits).copied().collect();
                if classes.is_empty() {
                    return (Condition::Unconditional(count), Vec::new());
                }
                let classes: Vec<u32> = classes.iter().cycle().take(count).copied().collect();
                let name = |class: &u32| {
                    let name = usize::try_from(*class).ok().and_then(|class| self.codes.classes.get(class));
                    name.cloned().unwrap_or_else(|| class.to_string())
                };
                let names = classes.iter().map(name).collect();
                (Condition::Classes(classes), names)
            }
            _ => (Condition::Unconditional(count), Vec::new()),
        }
    }

    /// Pictures of what was generated, or views of shapes; the view of a shape without a surface is empty.
    fn pictures(&self, generated: &Generated) -> Result<Vec<Picture>, TrainError> {
        let (encoder, options) = (&self.codes.encoder, DecodeOptions::default());
        let Some(tokenizer) = encoder.of_shapes() else { return Ok(encoder.decode(generated, &options)?) };
        let tokens = encoder.tokens(generated)?;
        let meshes = decode_shapes(tokenizer, &tokens, &options, self.lattice, &mut |_| {})?;
        let view = RenderOptions { side: CELL, ..RenderOptions::default() };
        Ok(meshes.iter().map(|mesh| render(mesh, View::default(), &view)).collect::<Result<_, _>>()?)
    }
}

/// Side of a sample on a sheet, in pixels.
const CELL: u32 = 128;

impl<O: GeneratorObjective> Training for OnCodes<O> {
    type Network = O::Network;
    type Feed = CodeFeed;

    fn specs(&self) -> &[ParamSpec] {
        self.objective.specs()
    }

    fn is_trained(&self, name: &str) -> bool {
        self.objective.is_trained(name)
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
        let (mut sums, mut loss): (Vec<f64>, f64) = (Vec::new(), 0.0);
        for part in places.chunks(AT_ONCE) {
            let batch = CodeFeed::whole(held_out, part, self.words.as_ref(), self.most_words, &self.device);
            let losses = self.objective.losses(network, &batch, &mut rng)?;
            loss += losses.main.into_data().iter::<f64>().sum::<f64>() * part.len() as f64;
            let means: Vec<f64> = losses.by_position.into_data().iter().collect();
            sums.resize(means.len(), 0.0);
            for (sum, mean) in sums.iter_mut().zip(means) {
                *sum += mean * part.len() as f64;
            }
        }
        let by_position: Vec<f64> = sums.iter().map(|sum| sum / count.max(1) as f64).collect();
        let loss = loss / count.max(1) as f64;
        let perplexity = if self.objective.main_term() == "cross_entropy" { loss.exp() } else { 0.0 };
        let line = ValidationLine { loss: Some(loss), loss_by_position: by_position, perplexity, ..Default::default() };
        Ok(Some(line))
    }

    /// Generated pictures or shapes, with the captions that the settings ask for, or class after class.
    fn sheet(&self, network: &O::Network, count: usize) -> Result<Option<Picture>, TrainError> {
        let generator = self.objective.generator(network.clone())?;
        let (condition, captions) = self.condition(generator.info(), count);
        let generated =
            generator.generate(&condition, &GenerateOptions::default(), &mut |_| ControlFlow::Continue(()))?;
        let mut sheet = Sheet::new().with_cell_side(CELL);
        for (index, picture) in self.pictures(&generated)?.into_iter().enumerate() {
            sheet = sheet.push(picture, captions.get(index).map(String::as_str).as_slice());
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
