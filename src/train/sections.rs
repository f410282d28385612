//! The sections of a configuration, one structure each: their fields, defaults and flags.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use tessera_datasets::DataSource;

/// Length, batches, and what is written when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Run")]
pub struct RunConfig {
    /// Optimiser steps in all.
    #[arg(long, value_name = "N")]
    pub steps: u64,
    /// Pictures of one forward pass.
    #[arg(long, value_name = "N")]
    pub batch_size: usize,
    /// Forward passes whose gradients make one step.
    #[arg(long, value_name = "N")]
    pub accumulate: usize,
    /// Seed of every random draw; on the command line the common option --seed.
    #[arg(skip)]
    pub seed: u64,
    /// Steps between lines of the log.
    #[arg(long, value_name = "N")]
    pub log_every: u64,
    /// Steps between checkpoints; the last step always makes one.
    #[arg(long, value_name = "N")]
    pub checkpoint_every: u64,
    /// Checkpoints that are kept.
    #[arg(long, value_name = "N")]
    pub keep_checkpoints: usize,
    /// Number format of the finished model's weights; checkpoints are always f32.
    #[arg(long, value_name = "FORMAT")]
    pub precision: SavePrecision,
}

/// Number format of saved weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum SavePrecision {
    /// Four bytes.
    F32,
    /// Two bytes.
    F16,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            steps: 10_000,
            batch_size: 32,
            accumulate: 1,
            seed: 0,
            log_every: 20,
            checkpoint_every: 500,
            keep_checkpoints: 2,
            precision: SavePrecision::F32,
        }
    }
}

/// The network and its start.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Model")]
pub struct ModelSection {
    /// A tokenizer's config.json (in a file of settings: relative to that file), or the name of a released model.
    #[arg(long = "architecture", value_name = "FILE|NAME")]
    pub architecture: PathBuf,
    /// How parameters start.
    #[arg(long, value_name = "START")]
    pub start: Start,
    /// Start from the weights of this folder or file instead; for the stage decoder with --proxy, from those of the stage
    /// proxy.
    #[arg(long, value_name = "MODEL")]
    pub from: Option<PathBuf>,
    /// The proxy tokenizer (MaskGIT-VQGAN): its codes are what the stage proxy learns to predict, its decoder is where the
    /// pixel decoder of the stage decoder starts.
    #[arg(long, value_name = "MODEL")]
    pub proxy: Option<PathBuf>,
    /// The trained AutoencoderKL whose latents a FlexTok learns from.
    #[arg(long, value_name = "MODEL")]
    pub vae: Option<PathBuf>,
}

/// How parameters start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// As the reference starts them (normal, deviation 0.02).
    #[default]
    Released,
    /// For widths well below 512: deviations that keep a signal's size through narrow layers.
    Narrow,
}

/// What is minimised: the sum of all terms, each times its weight. A weight of zero leaves its term out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Loss")]
pub struct LossConfig {
    /// Which training of the architecture.
    #[arg(long, value_name = "STAGE")]
    pub stage: Stage,
    /// Weight of the reconstruction: mean squared error of pixels or of the flow's velocity, or cross-entropy of proxy codes.
    #[arg(long, value_name = "X")]
    pub reconstruction_weight: f64,
    /// Weight of an autoencoder's divergence from the standard normal, in nats for each value of the latents.
    #[arg(long, value_name = "X")]
    pub kl_weight: f64,
    /// Weight of an autoencoder's squared error of colour differences (Co and Cg of YCoCg), on top of that of pixels: colours that
    /// vary little over the pictures are learnt late without it.
    #[arg(long, value_name = "X")]
    pub colour_weight: f64,
    /// Weight of what FlexTok's registers exceed the lively range of FSQ's bound by (mean square).
    #[arg(long, value_name = "X")]
    pub excess_weight: f64,
    /// Weight of the likeness to features of EfficientNet-Lite0: of a flow decoder (FlexTok, REPA), or of what SEED with pixels,
    /// TokenFlow and DualToken make of their semantic codes.
    #[arg(long, value_name = "X")]
    pub alignment_weight: f64,
    /// The decoder's block whose features are aligned, from 0.
    #[arg(long, value_name = "BLOCK")]
    pub alignment_layer: usize,
    /// Weight of the quantizer's commitment and codebook losses.
    #[arg(long, value_name = "X")]
    pub quantizer_weight: f64,
    /// Weight of the perceptual distance effd (EfficientNet-Lite0, which ships with tessera).
    #[arg(long, value_name = "X")]
    pub perceptual_weight: f64,
    /// First step with the perceptual term.
    #[arg(long, value_name = "STEP")]
    pub perceptual_from: u64,
    /// Weight of the adversarial term.
    #[arg(long, value_name = "X")]
    pub adversarial_weight: f64,
    /// First step with the adversarial term, and with a trained discriminator.
    #[arg(long, value_name = "STEP")]
    pub adversarial_from: u64,
    /// Weight of the LeCAM regularisation of the discriminator.
    #[arg(long, value_name = "X")]
    pub lecam_weight: f64,
    /// The discriminator; where absent that of the model's own recipe: patch-gan for LlamaGen VQ and TokenFlow, residual for DualToken,
    /// blurred for all others.
    #[arg(long, value_name = "KIND")]
    pub discriminator: Option<DiscriminatorKind>,
    /// Width of the discriminator's first layer (of blurred and residual a multiple of 32); where absent the released one.
    #[arg(long, value_name = "N")]
    pub discriminator_width: Option<usize>,
}

/// What tells reconstructions from pictures in adversarial training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum DiscriminatorKind {
    /// TiTok's and One-D-Piece's, which blurs before it halves; width 128, hinge loss.
    Blurred,
    /// pix2pix's, as LlamaGen's VQ and TokenFlow learn with it; width 64, hinge loss.
    PatchGan,
    /// DualToken's; width 64, leaky hinge loss.
    Residual,
}

/// Which training of the architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Everything at once, against pixels (single-stage models).
    Single,
    /// The first of two stages: everything but the pixel decoder, against a proxy tokenizer's codes.
    Proxy,
    /// The second of two stages: the decoder and the pixel decoder, against pixels; encoder and codebook stay.
    Decoder,
    /// Before TokenFlow and DualToken learn everything at once: their semantic tower alone, against EfficientNet-Lite0, in the place of
    /// the pretrained CLIP or SigLIP that the released ones start from. The next run starts with --from.
    Tower,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            stage: Stage::Single,
            reconstruction_weight: 1.0,
            quantizer_weight: 1.0,
            kl_weight: 1e-3,
            colour_weight: 0.0,
            excess_weight: 0.0,
            alignment_weight: 0.0,
            alignment_layer: 0,
            perceptual_weight: 0.0,
            perceptual_from: 0,
            adversarial_weight: 0.0,
            adversarial_from: 20_000,
            lecam_weight: 0.001,
            discriminator: None,
            discriminator_width: None,
        }
    }
}

/// AdamW, or Muon for matrices, with decoupled decay on matrices, linear warm-up, a cosine down, clipping, and averaged weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Optimiser")]
pub struct OptimizerConfig {
    /// What moves the matrices and kernels between layers; all else is AdamW's.
    #[arg(long, value_name = "OPTIMISER")]
    pub matrices: MatrixOptimizer,
    /// Steps of Muon, in learning rates; 3 served narrow networks well.
    #[arg(long, value_name = "X")]
    pub matrix_rate: f64,
    /// Highest learning rate.
    #[arg(long, value_name = "X")]
    pub learning_rate: f64,
    /// Learning rate at the end of the cosine.
    #[arg(long, value_name = "X")]
    pub final_learning_rate: f64,
    /// Steps of linear warm-up from zero.
    #[arg(long, value_name = "N")]
    pub warmup_steps: u64,
    /// Decay of the mean of gradients.
    #[arg(long = "beta-1", value_name = "X")]
    pub beta_1: f64,
    /// Decay of the mean of squared gradients.
    #[arg(long = "beta-2", value_name = "X")]
    pub beta_2: f64,
    /// Added to the root of the squared mean.
    #[arg(long, value_name = "X")]
    pub epsilon: f64,
    /// Decoupled weight decay; matrices only, never codebooks, embeddings, norms or biases.
    #[arg(long, value_name = "X")]
    pub weight_decay: f64,
    /// Largest norm of the gradient of all parameters together; 0 does not clip.
    #[arg(long, value_name = "X")]
    pub clip_norm: f64,
    /// Decay of the moving average of the weights, which the finished model holds; 0 keeps the last weights.
    #[arg(long, value_name = "X")]
    pub ema_decay: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            matrices: MatrixOptimizer::AdamW,
            matrix_rate: 1.0,
            learning_rate: 1e-4,
            final_learning_rate: 1e-5,
            warmup_steps: 1_000,
            beta_1: 0.9,
            beta_2: 0.99,
            epsilon: 1e-8,
            weight_decay: 1e-4,
            clip_norm: 1.0,
            ema_decay: 0.999,
        }
    }
}

/// What moves matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum MatrixOptimizer {
    /// AdamW, as in all released recipes.
    #[value(name = "adam_w")]
    AdamW,
    /// Muon: momentum whose directions all count alike.
    Muon,
}

/// Care for the codebook. The released recipes do none of this.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Codebook")]
pub struct CodebookConfig {
    /// Steps at the start that train without quantizing; then the codebook starts from latents.
    #[arg(long, value_name = "N")]
    pub free_steps: u64,
    /// Steps between moves of dead codes onto latents; 0 never moves one.
    #[arg(long, value_name = "N")]
    pub reseed_every: u64,
    /// Last step that moves codes; 0 for all steps.
    #[arg(long, value_name = "STEP")]
    pub reseed_until: u64,
}

/// Pictures to learn from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Data")]
pub struct DataConfig {
    /// Folder, tar or shards of pictures, or all settings of a source as {path = "...", crop = "random", ...}; may be
    /// repeated.
    #[arg(long = "data", value_name = "SOURCE", value_parser = parse_source)]
    pub sources: Vec<DataSource>,
    /// End at the first unreadable picture, instead of passing it over.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub strict: bool,
    /// Threads that read and decode; 0 leaves the number to the system.
    #[arg(long, value_name = "N")]
    pub workers: usize,
    /// Batches read ahead.
    #[arg(long, value_name = "N")]
    pub prefetch: usize,
    /// Memory for decoded pictures, in MiB.
    #[arg(long, value_name = "MIB")]
    pub cache_mib: usize,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { sources: Vec::new(), strict: false, workers: 1, prefetch: 4, cache_mib: 512 }
    }
}

/// What a generator learns from. Tokenizers take no notice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Generator")]
pub struct GeneratorSection {
    /// Folder, weight file or hub id of the tokenizer (or autoencoder of latents) whose output is learnt; the tokenizer that is
    /// built into the program where absent.
    #[arg(long, value_name = "MODEL")]
    pub tokenizer: Option<String>,
    /// Folder where the encoded pictures are kept, to be used again by other runs; below the run's folder where absent.
    #[arg(long, value_name = "FOLDER")]
    pub cache: Option<PathBuf>,
    /// Passes over the sources that are encoded, each with its own crops and mirrorings.
    #[arg(long, value_name = "N")]
    pub views: usize,
    /// Share of items that are learnt without their condition, for guidance.
    #[arg(long, value_name = "SHARE")]
    pub condition_dropout: f64,
    /// Share of items that are learnt without a tag, or without the words of their caption that are no tags.
    #[arg(long, value_name = "SHARE")]
    pub word_dropout: f64,
    /// Mean share of tokens that next-token generators and NAR read as codes drawn at random while they learn, each row another share; 0.5 at
    /// most. It keeps them looking at the caption where the data are few.
    #[arg(long, value_name = "SHARE")]
    pub token_noise: f64,
    /// Share of the probability that is spread over all ids in the targets of the cross-entropy.
    #[arg(long, value_name = "SHARE")]
    pub label_smoothing: f64,
    /// Weight of the squared logarithm of the softmax's sum, which keeps logits from drifting.
    #[arg(long, value_name = "X")]
    pub z_loss_weight: f64,
    /// Procedural shapes that are encoded, where the tokenizer is one of shapes; where absent 4096, or none beside a folder of
    /// meshes (--meshes), of which each sub-folder is a class.
    #[arg(long, value_name = "N")]
    pub shapes: Option<usize>,
    /// Captions of the pictures on a sample sheet; may be repeated.
    #[arg(long = "sample", value_name = "CAPTION")]
    pub samples: Vec<String>,
}

impl Default for GeneratorSection {
    fn default() -> Self {
        Self {
            tokenizer: None,
            cache: None,
            views: 2,
            condition_dropout: 0.1,
            word_dropout: 0.25,
            token_noise: 0.0,
            label_smoothing: 0.0,
            z_loss_weight: 0.0,
            shapes: None,
            samples: Vec::new(),
        }
    }
}

/// Pictures to judge by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Validation")]
pub struct ValidationConfig {
    /// Pictures that are never learnt from, written as --data.
    #[arg(long = "validation", value_name = "SOURCE", value_parser = parse_source)]
    pub source: Option<DataSource>,
    /// Steps between validations; the last step always makes one.
    #[arg(long, value_name = "N")]
    pub validate_every: u64,
    /// Pictures of a validation.
    #[arg(long, value_name = "N")]
    pub validation_pictures: usize,
    /// Pictures of a sample sheet.
    #[arg(long, value_name = "N")]
    pub sample_pictures: usize,
}

impl Default for ValidationConfig {
    fn default() -> Self {
        Self { source: None, validate_every: 500, validation_pictures: 128, sample_pictures: 8 }
    }
}

/// Reads a data source from text: a path, or a table of settings in TOML as a configuration file would hold it.
///
/// # Errors
/// What is wrong with the table, in words.
pub fn parse_source(text: &str) -> Result<DataSource, String> {
    if !text.trim_start().starts_with('{') {
        return Ok(DataSource { path: PathBuf::from(text), ..DataSource::default() });
    }
    #[derive(Deserialize)]
    struct Line {
        source: DataSource,
    }
    toml::from_str::<Line>(&format!("source = {text}"))
        .map(|line| line.source)
        .map_err(|error| error.message().to_owned())
}
