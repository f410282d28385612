//! The section `[model]`: the network and its start.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

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
