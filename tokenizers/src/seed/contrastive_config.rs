//! Configuration of SEED's first training stage.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::EncoderConfig;
use super::sizes::within;
use crate::ConfigError;

/// What configurations of this stage call themselves.
pub(super) const STAGE_1: &str = "seed_training_stage1";

/// The first training stage: an encoder with the text half of its Q-Former, and projections of both to a common space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContrastiveConfig {
    /// `seed_training_stage1`.
    pub model_type: String,
    /// Pictures to causal embeddings.
    #[serde(flatten)]
    pub encoder: EncoderConfig,
    /// Channels of the common space.
    #[serde(default = "common_width")]
    pub embed_dim: usize,
    /// Word pieces that captions are cut to.
    #[serde(default = "longest")]
    pub max_txt_len: usize,
    /// Label smoothing of the contrastive loss.
    #[serde(default = "tenth")]
    pub label_smoothing: f64,
}

fn common_width() -> usize {
    256
}

fn longest() -> usize {
    32
}

fn tenth() -> f64 {
    0.1
}

impl ContrastiveConfig {
    /// The published sizes.
    pub fn published() -> Self {
        Self {
            model_type: STAGE_1.to_owned(),
            encoder: EncoderConfig::default(),
            embed_dim: 256,
            max_txt_len: 32,
            label_smoothing: tenth(),
        }
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is missing or does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_value(document.clone())
            .map_err(|error| ConfigError::invalid("(whole file)", "sizes of SEED's first stage", error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.encoder.check()?;
        within("embed_dim", self.embed_dim, 1 << 14)?;
        within("max_txt_len", self.max_txt_len, self.encoder.qformer.max_position_embeddings)?;
        if self.model_type != STAGE_1 {
            let found = format!("\"{}\"", self.model_type);
            return Err(ConfigError::invalid("model_type", format!("\"{STAGE_1}\""), found));
        }
        match (0.0..1.0).contains(&self.label_smoothing) {
            true => Ok(()),
            false => {
                let found = self.label_smoothing.to_string();
                Err(ConfigError::invalid("label_smoothing", "a number from 0 to below 1", found))
            }
        }
    }
}
