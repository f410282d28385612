//! Configuration of FlexTok's autoregressive generator.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tessera_tokenizers::ConfigError;

/// Sizes and variants, with the keys of the recorded configuration. Others are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlexTokArConfig {
    /// Codes of the tokenizer.
    pub codebook_size: usize,
    /// Tokens of the longest sample.
    pub num_tokens: usize,
    /// Channels.
    pub embed_dim: usize,
    /// Blocks.
    pub num_blocks: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Classes.
    pub num_classes: usize,
    /// Hidden units of the SwiGLU.
    pub ffn_hidden: usize,
    /// Epsilon of every normalisation.
    #[serde(default = "epsilon")]
    pub norm_eps: f64,
    /// Whether projections have biases.
    #[serde(default)]
    pub use_bias: bool,
    /// Not built.
    #[serde(default)]
    pub qk_norm: bool,
    /// Whether a normalisation stands behind the last block.
    #[serde(default)]
    pub post_trunk_norm: bool,
    /// `swiglu`; others are not built.
    #[serde(default = "swiglu")]
    pub ffn: String,
    /// `absolute`; others are not built.
    #[serde(default = "absolute")]
    pub pos_embed_type: String,
}

fn epsilon() -> f64 {
    1e-6
}

fn swiglu() -> String {
    "swiglu".to_owned()
}

fn absolute() -> String {
    "absolute".to_owned()
}

impl FlexTokArConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is missing, does not fit or is not built.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_value(document.clone())
            .map_err(|error| ConfigError::invalid("(whole file)", "sizes of the generator", error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// Checks that sizes fit together and variants are built.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (key, value, most) in [
            ("codebook_size", self.codebook_size, 1 << 24),
            ("num_tokens", self.num_tokens, 1 << 16),
            ("embed_dim", self.embed_dim, 1 << 14),
            ("num_blocks", self.num_blocks, 1 << 10),
            ("num_heads", self.num_heads, 1 << 10),
            ("num_classes", self.num_classes, 1 << 24),
            ("ffn_hidden", self.ffn_hidden, 1 << 18),
        ] {
            if !(1..=most).contains(&value) {
                return Err(ConfigError::invalid(key, format!("a number from 1 to {most}"), value.to_string()));
            }
        }
        if !self.embed_dim.is_multiple_of(self.num_heads) {
            let expected = format!("a divisor of embed_dim {}", self.embed_dim);
            return Err(ConfigError::invalid("num_heads", expected, self.num_heads.to_string()));
        }
        if !(self.norm_eps > 0.0 && self.norm_eps < 1.0) {
            return Err(ConfigError::invalid("norm_eps", "a number between 0 and 1", self.norm_eps.to_string()));
        }
        for (key, value, built) in [("ffn", &self.ffn, "swiglu"), ("pos_embed_type", &self.pos_embed_type, "absolute")]
        {
            if value != built {
                return Err(ConfigError::invalid(key, format!("\"{built}\""), format!("\"{value}\"")));
            }
        }
        if self.qk_norm {
            return Err(ConfigError::invalid(
                "qk_norm",
                "false: how the releases name its tensors is not known",
                "true",
            ));
        }
        Ok(())
    }
}
