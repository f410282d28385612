//! The section `[optimizer]`: how it is minimised.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

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
