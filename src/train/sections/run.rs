//! The section `[run]`: length, batches, and what is written when.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

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
