//! The section `[generator]`: what a generator learns from.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

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
