//! Sizes of a KL autoencoder.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tessera_layers::conv_autoencoder::ConvSizes;

use crate::ConfigError;

/// `config.json` of diffusers' `AutoencoderKL`, key for key; an absent key has the value that it has there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AutoencoderKlConfig {
    /// Colour channels of the picture that is encoded.
    pub in_channels: usize,
    /// Colour channels of the picture that is decoded.
    pub out_channels: usize,
    /// `DownEncoderBlock2D` for every level; others are not built.
    pub down_block_types: Vec<String>,
    /// `UpDecoderBlock2D` for every level; others are not built.
    pub up_block_types: Vec<String>,
    /// Channels of each level, the finest first.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks of a level in the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// `silu`; others are not built.
    pub act_fn: String,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Groups of every normalisation.
    pub norm_num_groups: usize,
    /// Side of the pictures that it was trained on; nothing depends on it.
    pub sample_size: Option<usize>,
    /// What latents are multiplied by before a generator sees them; none where whoever embeds the autoencoder says it.
    pub scaling_factor: Option<f64>,
    /// Not built.
    pub shift_factor: Option<f64>,
    /// Not built.
    pub latents_mean: Option<Vec<f64>>,
    /// Not built.
    pub latents_std: Option<Vec<f64>>,
    /// Whether diffusers leaves half precision for this network; here it always runs in f32.
    pub force_upcast: bool,
    /// Whether a 1x1 convolution makes the moments of the encoder's output.
    pub use_quant_conv: bool,
    /// Whether a 1x1 convolution stands before the decoder.
    pub use_post_quant_conv: bool,
    /// Whether the middle of encoder and decoder has an attention layer.
    pub mid_block_add_attention: bool,
}

impl Default for AutoencoderKlConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            down_block_types: vec![DOWN.to_owned()],
            up_block_types: vec![UP.to_owned()],
            block_out_channels: vec![64],
            layers_per_block: 1,
            act_fn: "silu".to_owned(),
            latent_channels: 4,
            norm_num_groups: 32,
            sample_size: Some(32),
            scaling_factor: Some(0.18215),
            shift_factor: None,
            latents_mean: None,
            latents_std: None,
            force_upcast: true,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
        }
    }
}

const CLASS: &str = "AutoencoderKL";
const DOWN: &str = "DownEncoderBlock2D";
const UP: &str = "UpDecoderBlock2D";
/// More channels than any autoencoder has.
const MOST_CHANNELS: usize = 1 << 14;

impl AutoencoderKlConfig {
    /// Whether a document says that it describes such an autoencoder.
    pub fn recognises(document: &Value) -> bool {
        document.get("_class_name").and_then(Value::as_str) == Some(CLASS)
    }

    /// Reads diffusers' `config.json`. Keys that begin with `_` say where the file comes from and do not count, but for
    /// `_class_name`.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key that is unknown, is not built or does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let Value::Object(found) = document else {
            return Err(ConfigError::invalid("(whole file)", "an object of settings", kind(document)));
        };
        if let Some(class) = found.get("_class_name")
            && !Self::recognises(document)
        {
            return Err(ConfigError::invalid("_class_name", CLASS, class.to_string()));
        }
        let known = Self::default().to_value();
        if let Some(key) = found.keys().find(|key| !key.starts_with('_') && known.get(key.as_str()).is_none()) {
            return Err(ConfigError::invalid(key, "no such key in an AutoencoderKL", "it"));
        }
        let config: Self = serde_json::from_value(document.clone()).map_err(|error| {
            ConfigError::invalid("(whole file)", "the settings of an AutoencoderKL", error.to_string())
        })?;
        config.check()?;
        Ok(config)
    }

    /// The configuration as [`AutoencoderKlConfig::from_value`] and diffusers read it.
    pub fn to_value(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Value::Object(keys) = &mut value {
            keys.insert("_class_name".to_owned(), json!(CLASS));
        }
        value
    }

    /// Checks that the network is one that is built, and that its sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_built()?;
        let levels = self.block_out_channels.len();
        if !(1..=12).contains(&levels) {
            let found = format!("{levels} levels");
            return Err(ConfigError::invalid("block_out_channels", "the channels of 1 to 12 levels", found));
        }
        for (key, types, built) in
            [("down_block_types", &self.down_block_types, DOWN), ("up_block_types", &self.up_block_types, UP)]
        {
            if let Some(other) = types.iter().find(|kind| kind.as_str() != built) {
                return Err(ConfigError::invalid(key, format!("\"{built}\" for every level"), format!("\"{other}\"")));
            }
            if types.len() != levels {
                let expected = format!("one entry for each of the {levels} levels of block_out_channels");
                return Err(ConfigError::invalid(key, expected, types.len().to_string()));
            }
        }
        for (key, value, most) in [
            ("in_channels", self.in_channels, MOST_CHANNELS),
            ("out_channels", self.out_channels, MOST_CHANNELS),
            ("latent_channels", self.latent_channels, MOST_CHANNELS),
            ("norm_num_groups", self.norm_num_groups, MOST_CHANNELS),
            ("layers_per_block", self.layers_per_block, 64),
        ] {
            if !(1..=most).contains(&value) {
                return Err(ConfigError::invalid(key, format!("a number from 1 to {most}"), value.to_string()));
            }
        }
        for &width in &self.block_out_channels {
            if !(1..=MOST_CHANNELS).contains(&width) || width % self.norm_num_groups != 0 {
                let expected =
                    format!("numbers up to {MOST_CHANNELS} that norm_num_groups {} divides", self.norm_num_groups);
                return Err(ConfigError::invalid("block_out_channels", expected, width.to_string()));
            }
        }
        match self.scaling_factor {
            Some(factor) if !(factor.is_finite() && factor > 0.0) => {
                Err(ConfigError::invalid("scaling_factor", "a number above 0, or null", factor.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what changes the network and is not built.
    fn check_built(&self) -> Result<(), ConfigError> {
        if self.act_fn != "silu" {
            return Err(ConfigError::invalid("act_fn", "\"silu\"", format!("\"{}\"", self.act_fn)));
        }
        for (key, is_there) in [
            ("shift_factor", self.shift_factor.is_some_and(|shift| shift != 0.0)),
            ("latents_mean", self.latents_mean.is_some()),
            ("latents_std", self.latents_std.is_some()),
        ] {
            if is_there {
                return Err(ConfigError::invalid(key, "null: latents that are only scaled", "a value"));
            }
        }
        Ok(())
    }

    /// Pixels along one side of a latent cell.
    pub fn downsampling(&self) -> usize {
        1 << self.block_out_channels.len().clamp(1, 12).saturating_sub(1)
    }

    /// Sizes of the encoder.
    pub(super) fn encoder_sizes(&self) -> ConvSizes {
        ConvSizes {
            stem: None,
            widths: self.block_out_channels.clone(),
            blocks: self.layers_per_block,
            groups: self.norm_num_groups,
            middle_attention: self.mid_block_add_attention,
            attention_levels: Vec::new(),
        }
    }

    /// Sizes of the decoder, which has one block more in each level.
    pub(super) fn decoder_sizes(&self) -> ConvSizes {
        let sizes = self.encoder_sizes();
        ConvSizes { blocks: sizes.blocks + 1, ..sizes }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
