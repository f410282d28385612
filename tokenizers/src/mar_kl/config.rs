//! Sizes of a MAR KL autoencoder.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tessera_layers::conv_autoencoder::ConvSizes;

use crate::config::ConfigError;

/// Sizes, with the keys of the recorded configuration; other keys are ignored. The default is the released KL-16.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MarKlConfig {
    /// What latents are multiplied by before a generator sees them.
    #[serde(default = "scale")]
    pub scaling_factor: f64,
    /// Channels of the latents.
    pub embed_dim: usize,
    /// Base width.
    #[serde(default = "number::<128>")]
    pub ch: usize,
    /// Channels of level `i` are `ch * ch_mult[i]`; each level but the last halves the picture.
    pub ch_mult: Vec<usize>,
    /// Residual blocks of a level; the decoder has one more.
    #[serde(default = "number::<2>")]
    pub num_res_blocks: usize,
    /// Side of the pictures that `attn_resolutions` counts from; pictures of any size go through.
    #[serde(default = "number::<256>")]
    pub resolution: usize,
    /// Levels of the encoder whose side is one of these have attention.
    #[serde(default = "sixteen")]
    pub attn_resolutions: Vec<usize>,
}

fn scale() -> f64 {
    0.2325
}

fn number<const N: usize>() -> usize {
    N
}

fn sixteen() -> Vec<usize> {
    vec![16]
}

/// Name of the released model.
pub const PRESET: &str = "mar-kl-16";

/// Groups of every group normalisation.
const GROUPS: usize = 32;

impl Default for MarKlConfig {
    fn default() -> Self {
        Self {
            scaling_factor: 0.2325,
            embed_dim: 16,
            ch: 128,
            ch_mult: vec![1, 1, 2, 2, 4],
            num_res_blocks: 2,
            resolution: 256,
            attn_resolutions: vec![16],
        }
    }
}

impl MarKlConfig {
    /// Whether a document is of this architecture.
    pub fn describes(document: &Value) -> bool {
        document.get("embed_dim").is_some() && document.get("ch_mult").is_some()
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is missing or does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_value(document.clone())
            .map_err(|error| ConfigError::invalid("(whole file)", "sizes of a KL autoencoder", error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The configuration as [`MarKlConfig::from_value`] reads it.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (key, value, most) in [
            ("embed_dim", self.embed_dim, 1 << 12),
            ("ch", self.ch, 1 << 14),
            ("num_res_blocks", self.num_res_blocks, 1 << 6),
            ("resolution", self.resolution, 1 << 16),
        ] {
            if !(1..=most).contains(&value) {
                return Err(ConfigError::invalid(key, format!("a number from 1 to {most}"), value.to_string()));
            }
        }
        let fits = |mult: &usize| {
            let width = self.ch.saturating_mul(*mult);
            (1..=1 << 16).contains(&width) && width.is_multiple_of(GROUPS)
        };
        if !(1..=12).contains(&self.ch_mult.len()) || !self.ch_mult.iter().all(fits) || !self.ch.is_multiple_of(GROUPS)
        {
            let expected = format!("1 to 12 levels whose widths (ch {} times each) are multiples of {GROUPS}", self.ch);
            return Err(ConfigError::invalid("ch_mult", expected, format!("{:?}", self.ch_mult)));
        }
        match self.scaling_factor > 0.0 && self.scaling_factor.is_finite() {
            true => Ok(()),
            false => Err(ConfigError::invalid("scaling_factor", "a number above 0", self.scaling_factor.to_string())),
        }
    }

    /// How many pixels wide one latent is.
    pub fn downsampling(&self) -> usize {
        1 << self.ch_mult.len().saturating_sub(1)
    }

    pub(super) fn encoder_sizes(&self) -> ConvSizes {
        let levels = 0..self.ch_mult.len();
        ConvSizes {
            stem: Some(self.ch),
            widths: self.ch_mult.iter().map(|mult| self.ch * mult).collect(),
            blocks: self.num_res_blocks,
            groups: GROUPS,
            middle_attention: true,
            attention_levels: levels
                .filter(|level| self.attn_resolutions.contains(&(self.resolution >> level)))
                .collect(),
        }
    }

    pub(super) fn decoder_sizes(&self) -> ConvSizes {
        ConvSizes { blocks: self.num_res_blocks + 1, attention_levels: Vec::new(), ..self.encoder_sizes() }
    }
}
