//! [`TrainConfig`]: everything that a training run is made of, in one structure.
//!
//! The same structure is read from the configuration file, printed by `--print-config`, and offers its fields as flags of
//! `tessera train`; where all of them are silent its [`Default`] holds.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::TrainError;
use super::sections::{
    CodebookConfig, DataConfig, GeneratorSection, LossConfig, ModelSection, OptimizerConfig, RunConfig, ShapeSection,
    Stage, ValidationConfig,
};

/// A training run. In a file each field below is a section, as `[optimizer]`; on the command line every entry is a flag.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, Args)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    #[command(flatten)]
    /// Length, batches, and what is written when.
    pub run: RunConfig,
    #[command(flatten)]
    /// The network and its start.
    pub model: ModelSection,
    #[command(flatten)]
    /// What is minimised.
    pub loss: LossConfig,
    #[command(flatten)]
    /// How it is minimised.
    pub optimizer: OptimizerConfig,
    #[command(flatten)]
    /// Care for the codebook.
    pub codebook: CodebookConfig,
    #[command(flatten)]
    /// What a generator learns from.
    pub generator: GeneratorSection,
    #[command(flatten)]
    /// What a 3D tokenizer learns from.
    pub shape: ShapeSection,
    #[command(flatten)]
    /// Pictures to learn from.
    pub data: DataConfig,
    #[command(flatten)]
    /// Pictures to judge by.
    pub validation: ValidationConfig,
}

impl TrainConfig {
    /// Reads a configuration file. Relative paths in it mean files beside it.
    ///
    /// # Errors
    /// [`TrainError::Io`], or [`TrainError::Config`] naming the line that does not fit.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let text = std::fs::read_to_string(path).map_err(|source| TrainError::Io { path: path.to_owned(), source })?;
        let mut config: Self = toml::from_str(&text).map_err(|error| TrainError::Config {
            file: path.to_owned(),
            message: error.to_string().trim_end().replace('\n', " "),
        })?;
        config.resolve(path.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// The configuration as a file.
    ///
    /// # Errors
    /// [`TrainError::Invalid`] if a path is not Unicode.
    pub fn to_toml(&self) -> Result<String, TrainError> {
        toml::to_string(self).map_err(|error| TrainError::Invalid {
            key: "config",
            expected: "values that TOML can write".to_owned(),
            found: error.to_string(),
        })
    }

    /// The settings that decide about the weights, as text: two runs with the same text end with the same weights on
    /// the same data. Where files lie and how often something is written do not count.
    pub fn essence(&self) -> Result<String, TrainError> {
        let mut config = self.clone();
        let usual = Self::default();
        let (run, written) = (&mut config.run, usual.run);
        (run.log_every, run.checkpoint_every) = (written.log_every, written.checkpoint_every);
        (run.keep_checkpoints, run.precision) = (written.keep_checkpoints, written.precision);
        let (data, read) = (&mut config.data, usual.data);
        (data.workers, data.prefetch, data.cache_mib) = (read.workers, read.prefetch, read.cache_mib);
        config.validation = usual.validation;
        let (shape, judged) = (&mut config.shape, usual.shape);
        shape.validation_meshes = None;
        (shape.validation_places, shape.sample_lattice) = (judged.validation_places, judged.sample_lattice);
        (config.generator.cache, config.generator.samples) = (None, Vec::new());
        for path in config.paths() {
            *path = path.file_name().map(PathBuf::from).unwrap_or_default();
        }
        config.to_toml()
    }

    /// What decides about the codes of the sources, as text.
    ///
    /// # Errors
    /// [`TrainError::Invalid`] if a path is not Unicode.
    pub fn essence_of_sources(&self) -> Result<String, TrainError> {
        let mut sources = Self {
            data: DataConfig { sources: self.data.sources.clone(), ..DataConfig::default() },
            ..Self::default()
        };
        sources.run.seed = self.run.seed;
        sources.essence()
    }

    fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let (model, shape) = (&mut self.model, &mut self.shape);
        let of_shapes = [&mut shape.meshes, &mut shape.validation_meshes, &mut shape.mesh_labels].into_iter().flatten();
        let sources = self.data.sources.iter_mut().chain(self.validation.source.as_mut());
        let of_sources = sources.flat_map(|source| std::iter::once(&mut source.path).chain(source.labels.as_mut()));
        of_sources.chain(of_shapes).chain(model.from.as_mut()).chain(model.proxy.as_mut()).chain(model.vae.as_mut())
    }

    fn resolve(&mut self, folder: &Path) {
        let model = &mut self.model;
        let beside = folder.join(&model.architecture);
        if !model.architecture.as_os_str().is_empty() && beside.exists() {
            model.architecture = beside;
        }
        for path in self.paths() {
            *path = folder.join(&path);
        }
        let generator = &mut self.generator;
        if let Some(tokenizer) = &mut generator.tokenizer {
            // A hub id is no path.
            let beside = folder.join(&tokenizer);
            if beside.exists() {
                *tokenizer = beside.to_string_lossy().into_owned();
            }
        }
        if let Some(cache) = &mut generator.cache {
            *cache = folder.join(&cache);
        }
    }

    /// Checks what can be known before anything is opened.
    ///
    /// # Errors
    /// [`TrainError::Invalid`] naming the first setting that does not fit.
    pub fn check(&self) -> Result<(), TrainError> {
        let (run, loss, optimizer) = (&self.run, &self.loss, &self.optimizer);
        let positive: [(&'static str, u64); 7] = [
            ("generator.views", self.generator.views as u64),
            ("run.steps", run.steps),
            ("run.batch_size", run.batch_size as u64),
            ("run.accumulate", run.accumulate as u64),
            ("run.log_every", run.log_every),
            ("run.checkpoint_every", run.checkpoint_every),
            ("validation.validate_every", self.validation.validate_every),
        ];
        for (key, value) in positive {
            let most = 1_u64 << 40;
            if !(1..=most).contains(&value) {
                return invalid(key, format!("a number from 1 to {most}"), value.to_string());
            }
        }
        let generator = &self.generator;
        let weights: [(&'static str, f64); 16] = [
            ("generator.z_loss_weight", generator.z_loss_weight),
            ("loss.reconstruction_weight", loss.reconstruction_weight),
            ("loss.quantizer_weight", loss.quantizer_weight),
            ("loss.kl_weight", loss.kl_weight),
            ("loss.colour_weight", loss.colour_weight),
            ("loss.excess_weight", loss.excess_weight),
            ("loss.alignment_weight", loss.alignment_weight),
            ("loss.perceptual_weight", loss.perceptual_weight),
            ("loss.adversarial_weight", loss.adversarial_weight),
            ("loss.lecam_weight", loss.lecam_weight),
            ("optimizer.learning_rate", optimizer.learning_rate),
            ("optimizer.final_learning_rate", optimizer.final_learning_rate),
            ("optimizer.matrix_rate", optimizer.matrix_rate),
            ("optimizer.weight_decay", optimizer.weight_decay),
            ("optimizer.epsilon", optimizer.epsilon),
            ("optimizer.clip_norm", optimizer.clip_norm),
        ];
        for (key, value) in weights {
            if !(value.is_finite() && value >= 0.0) {
                return invalid(key, "a number from 0 up".to_owned(), value.to_string());
            }
        }
        let shares: [(&'static str, f64); 3] = [
            ("generator.condition_dropout", generator.condition_dropout),
            ("generator.word_dropout", generator.word_dropout),
            ("generator.label_smoothing", generator.label_smoothing),
        ];
        for (key, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                return invalid(key, "a share from 0 to 1".to_owned(), value.to_string());
            }
        }
        if !(0.0..=0.5).contains(&generator.token_noise) {
            return invalid(
                "generator.token_noise",
                "a share from 0 to 0.5".to_owned(),
                generator.token_noise.to_string(),
            );
        }
        let decays: [(&'static str, f64); 3] = [
            ("optimizer.beta_1", optimizer.beta_1),
            ("optimizer.beta_2", optimizer.beta_2),
            ("optimizer.ema_decay", optimizer.ema_decay),
        ];
        for (key, value) in decays {
            if !(0.0..1.0).contains(&value) {
                return invalid(key, "a number from 0 to below 1".to_owned(), value.to_string());
            }
        }
        let care = &self.codebook;
        if care.free_steps > 0 && loss.stage != Stage::Single {
            let expected = "0, unless loss.stage is single".to_owned();
            return invalid("codebook.free_steps", expected, care.free_steps.to_string());
        }
        if care.reseed_every > 0 && loss.stage == Stage::Decoder {
            let expected = "0, since the codebook stays in the stage decoder".to_owned();
            return invalid("codebook.reseed_every", expected, care.reseed_every.to_string());
        }
        if self.model.architecture.as_os_str().is_empty() {
            let expected = "a config.json or the name of a released model".to_owned();
            return invalid("model.architecture", expected, "nothing".to_owned());
        }
        Ok(())
    }

    /// Checks that there are pictures to learn from.
    ///
    /// # Errors
    /// [`TrainError::Invalid`] if there is no source.
    pub fn check_sources(&self) -> Result<(), TrainError> {
        if self.data.sources.is_empty() {
            let expected = "at least one source of pictures ([[data.sources]] or --data)".to_owned();
            return invalid("data.sources", expected, "none".to_owned());
        }
        Ok(())
    }
}

fn invalid<T>(key: &'static str, expected: String, found: String) -> Result<T, TrainError> {
    Err(TrainError::Invalid { key, expected, found })
}
