//! Sizes of a MaskGIT-VQGAN.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::ConfigError;

/// Sizes of the convolutional encoder and decoder. The default is the released ImageNet f16 network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VqganConfig {
    /// Channels of level `i` are `hidden_channels * channel_mult[i]`; level 0 has full resolution.
    pub channel_mult: Vec<usize>,
    /// Number of levels, equal to the length of `channel_mult`; each but the first halves the picture.
    pub num_resolutions: usize,
    /// Base width.
    pub hidden_channels: usize,
    /// Colour channels.
    pub num_channels: usize,
    /// Residual blocks per level.
    pub num_res_blocks: usize,
    /// Width of a code.
    pub z_channels: usize,
}

impl Default for VqganConfig {
    fn default() -> Self {
        Self {
            channel_mult: vec![1, 1, 2, 2, 4],
            num_resolutions: 5,
            hidden_channels: 128,
            num_channels: 3,
            num_res_blocks: 2,
            z_channels: 256,
        }
    }
}

/// Groups of every group normalisation.
pub(crate) const GROUPS: usize = 32;
/// Epsilon of every group normalisation.
pub(crate) const EPSILON: f64 = 1e-6;

impl VqganConfig {
    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        let levels = self.channel_mult.len();
        if levels == 0 || levels != self.num_resolutions || levels > 12 {
            let found = format!("{levels} entries with num_resolutions {}", self.num_resolutions);
            return Err(ConfigError::invalid("channel_mult", "one entry for each of 1 to 12 levels", found));
        }
        for &mult in &self.channel_mult {
            let width = self.hidden_channels.saturating_mul(mult);
            if width == 0 || width % GROUPS != 0 || width > 1 << 16 {
                let found = format!("{} * {mult}", self.hidden_channels);
                return Err(ConfigError::invalid("hidden_channels", "a width divisible by 32 at every level", found));
            }
        }
        for (key, value) in [
            ("num_channels", self.num_channels),
            ("z_channels", self.z_channels),
            ("num_res_blocks", self.num_res_blocks),
        ] {
            if value == 0 || value > 1 << 16 {
                return Err(ConfigError::invalid(key, "a number from 1 to 65536", value.to_string()));
            }
        }
        Ok(())
    }

    /// How many pixels wide one cell of the code grid is.
    pub fn downsampling(&self) -> usize {
        1 << (self.channel_mult.len().max(1) - 1)
    }

    pub(crate) fn width(&self, level: usize) -> usize {
        self.hidden_channels * self.channel_mult.get(level).copied().unwrap_or(1)
    }

    pub(crate) fn widest(&self) -> usize {
        self.width(self.channel_mult.len() - 1)
    }
}

/// Name of the released model: `maskgit-vqgan-imagenet-f16-256.bin`.
pub const PRESET: &str = "maskgit-vqgan-imagenet-f16-256";

/// Sizes of the whole tokenizer; the default is [`PRESET`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskGitVqganConfig {
    /// The convolutional networks.
    #[serde(default)]
    pub vqgan: VqganConfig,
    /// Codebook entries.
    #[serde(default = "released_codes")]
    pub num_embeddings: usize,
}

fn released_codes() -> usize {
    1024
}

impl Default for MaskGitVqganConfig {
    fn default() -> Self {
        Self { vqgan: VqganConfig::default(), num_embeddings: released_codes() }
    }
}

impl MaskGitVqganConfig {
    /// Reads `{"vqgan": {...}, "num_embeddings": n}`.
    ///
    /// # Errors
    /// [`ConfigError`] naming what does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_value(document.clone())
            .map_err(|error| ConfigError::invalid("vqgan", "the sizes of a MaskGIT-VQGAN", error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The configuration as [`MaskGitVqganConfig::from_value`] reads it.
    pub fn to_value(&self) -> Value {
        serde_json::json!({ "vqgan": self.vqgan, "num_embeddings": self.num_embeddings })
    }

    /// Checks that all sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.num_embeddings == 0 || self.num_embeddings > 1 << 24 {
            let found = self.num_embeddings.to_string();
            return Err(ConfigError::invalid("num_embeddings", "a number from 1 to 16777216", found));
        }
        self.vqgan.check()
    }
}
