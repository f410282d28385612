//! Sizes of a LlamaGen VQ.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tessera_layers::conv_autoencoder::ConvSizes;

use crate::config::ConfigError;

/// Sizes, with the keys of the recorded configuration; other keys are ignored. Absent keys are those of the released code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlamaGenVqConfig {
    /// Codes.
    pub codebook_size: usize,
    /// Width of a code.
    #[serde(default = "number::<8>")]
    pub codebook_embed_dim: usize,
    /// Whether codes and latents are compared, and returned, on the unit sphere.
    #[serde(default = "yes")]
    pub codebook_l2_norm: bool,
    /// Weight of the commitment.
    #[serde(default = "beta")]
    pub commit_loss_beta: f64,
    /// Weight of the entropy term.
    #[serde(default)]
    pub entropy_loss_ratio: f64,
    /// Channels of level `i` of the encoder are `ch * encoder_ch_mult[i]`; each level but the last halves the picture.
    pub encoder_ch_mult: Vec<usize>,
    /// The same of the decoder.
    pub decoder_ch_mult: Vec<usize>,
    /// Channels between encoder and codes.
    #[serde(default = "number::<256>")]
    pub z_channels: usize,
    /// Base width.
    #[serde(default = "number::<128>")]
    pub ch: usize,
    /// Residual blocks of a level; the decoder has one more.
    #[serde(default = "number::<2>")]
    pub num_res_blocks: usize,
    /// Key of ours: side of the pictures that it was trained on; any size goes through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_size: Option<usize>,
}

fn number<const N: usize>() -> usize {
    N
}

fn yes() -> bool {
    true
}

fn beta() -> f64 {
    0.25
}

/// Names of the released models.
pub const PRESETS: [&str; 2] = ["llamagen-vq-16", "llamagen-vq-8"];

/// Groups of every group normalisation.
const GROUPS: usize = 32;

impl LlamaGenVqConfig {
    /// The configuration of a released model, or `None` for an unknown name.
    pub fn preset(name: &str) -> Option<Self> {
        let mult = match name {
            "llamagen-vq-16" => vec![1, 1, 2, 2, 4],
            "llamagen-vq-8" => vec![1, 2, 2, 4],
            _ => return None,
        };
        Some(Self {
            codebook_size: 16_384,
            codebook_embed_dim: 8,
            codebook_l2_norm: true,
            commit_loss_beta: 0.25,
            entropy_loss_ratio: 0.0,
            encoder_ch_mult: mult.clone(),
            decoder_ch_mult: mult,
            z_channels: 256,
            ch: 128,
            num_res_blocks: 2,
            image_size: None,
        })
    }

    /// Whether a document is of this architecture.
    pub fn describes(document: &Value) -> bool {
        document.get("codebook_size").is_some() && document.get("encoder_ch_mult").is_some()
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is missing or does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_value(document.clone())
            .map_err(|error| ConfigError::invalid("(whole file)", "sizes of a LlamaGen VQ", error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The configuration as [`LlamaGenVqConfig::from_value`] reads it.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (key, value, most) in [
            ("codebook_size", self.codebook_size, 1 << 24),
            ("codebook_embed_dim", self.codebook_embed_dim, 1 << 12),
            ("z_channels", self.z_channels, 1 << 14),
            ("ch", self.ch, 1 << 14),
            ("num_res_blocks", self.num_res_blocks, 1 << 6),
        ] {
            if !(1..=most).contains(&value) {
                return Err(ConfigError::invalid(key, format!("a number from 1 to {most}"), value.to_string()));
            }
        }
        for (key, mult) in [("encoder_ch_mult", &self.encoder_ch_mult), ("decoder_ch_mult", &self.decoder_ch_mult)] {
            let fits = |mult: &usize| {
                let width = self.ch.saturating_mul(*mult);
                (1..=1 << 16).contains(&width) && width.is_multiple_of(GROUPS)
            };
            if !(1..=12).contains(&mult.len()) || !mult.iter().all(fits) || !self.ch.is_multiple_of(GROUPS) {
                let expected =
                    format!("1 to 12 levels whose widths (ch {} times each) are multiples of {GROUPS}", self.ch);
                return Err(ConfigError::invalid(key, expected, format!("{mult:?}")));
            }
        }
        if self.encoder_ch_mult.len() != self.decoder_ch_mult.len() {
            let expected = format!("{} levels, as the encoder has", self.encoder_ch_mult.len());
            return Err(ConfigError::invalid("decoder_ch_mult", expected, self.decoder_ch_mult.len().to_string()));
        }
        let patch = self.downsampling();
        if let Some(side) = self.image_size
            && (side == 0 || side > 1 << 14 || !side.is_multiple_of(patch))
        {
            return Err(ConfigError::invalid("image_size", format!("a multiple of {patch}"), side.to_string()));
        }
        let numbers = [("commit_loss_beta", self.commit_loss_beta), ("entropy_loss_ratio", self.entropy_loss_ratio)];
        match numbers.into_iter().find(|(_, value)| !(*value >= 0.0 && value.is_finite())) {
            Some((key, value)) => Err(ConfigError::invalid(key, "a number from 0 on", value.to_string())),
            None => Ok(()),
        }
    }

    /// How many pixels wide one cell is.
    pub fn downsampling(&self) -> usize {
        1 << self.encoder_ch_mult.len().saturating_sub(1)
    }

    fn sizes(&self, mult: &[usize], blocks: usize) -> ConvSizes {
        ConvSizes {
            stem: Some(self.ch),
            widths: mult.iter().map(|mult| self.ch * mult).collect(),
            blocks,
            groups: GROUPS,
            middle_attention: true,
            attention_levels: vec![mult.len().saturating_sub(1)],
        }
    }

    pub(super) fn encoder_sizes(&self) -> ConvSizes {
        self.sizes(&self.encoder_ch_mult, self.num_res_blocks)
    }

    pub(super) fn decoder_sizes(&self) -> ConvSizes {
        self.sizes(&self.decoder_ch_mult, self.num_res_blocks + 1)
    }
}
