//! Sizes of the pixel decoder.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ConfigError;
use crate::seed::{Mix, SeedConfig, divides, scaled, within};

/// How pixels are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PixelKind {
    /// A rectified flow from noise, in Euler steps.
    Flow,
    /// One pass from learned patches.
    Direct,
}

/// The decoder from tokens to pixels. Absent keys: 64 pixels in patches of 4, 6 blocks of width 256.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PixelConfig {
    /// How pixels are made.
    pub kind: PixelKind,
    /// Side of the square picture that is made, in pixels; it is enlarged to the encoder's.
    pub side: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Channels, a multiple of 4.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// What patches start from beside a learned vector or noise. With `dct` each starts from the inverse cosine transform of the tokens
    /// that are there, one frequency a token, as `query_mix` of the encoder makes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_mix: Option<Mix>,
    /// Hidden units of a block's MLP over the width.
    pub mlp_ratio: f64,
    /// Share of training items whose condition is left out, for guidance; of a flow only.
    pub null_probability: f64,
    /// Share of training items of which only a prefix is shown.
    pub prefix_probability: f64,
    /// Euler steps where nothing else is asked for.
    pub steps: usize,
    /// Guidance scale where nothing else is asked for.
    pub guidance: f64,
    /// Weight of the squared error beside the absolute one, likeness and slopes in the loss of a decoder of one pass. Where a picture is open,
    /// the absolute error asks for the commonest colour, which is the background's; the squared one for the mean.
    #[serde(skip_serializing_if = "is_zero")]
    pub squared_error: f64,
    /// Share of the training over which the pixels' loss gains its full weight.
    pub ramp: f64,
    /// Whether training changes the encoder too; it is frozen where absent, as in SEED's second stage.
    pub train_encoder: bool,
    /// Weight of a contrastive loss between two views of each picture, which keeps an encoder that is trained discriminative.
    pub contrast: f64,
}

impl Default for PixelConfig {
    fn default() -> Self {
        Self {
            kind: PixelKind::Flow,
            side: 64,
            patch: 4,
            width: 256,
            depth: 6,
            heads: 4,
            patch_mix: None,
            mlp_ratio: 4.0,
            null_probability: 0.1,
            prefix_probability: 0.5,
            steps: 25,
            guidance: 2.0,
            squared_error: 0.0,
            ramp: 0.2,
            train_encoder: false,
            contrast: 0.0,
        }
    }
}

fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

impl PixelConfig {
    /// Patches along one side.
    pub fn grid(&self) -> usize {
        self.side / self.patch.max(1)
    }

    /// Hidden units of a block's MLP.
    pub fn mlp(&self) -> usize {
        scaled(self.width, self.mlp_ratio)
    }

    fn check(&self) -> Result<(), ConfigError> {
        within("pixels.side", self.side, 1 << 11)?;
        within("pixels.patch", self.patch, 1 << 8)?;
        within("pixels.width", self.width, 1 << 13)?;
        within("pixels.depth", self.depth, 1 << 8)?;
        within("pixels.steps", self.steps, 10_000)?;
        within("pixels.mlp_ratio (times pixels.width)", self.mlp(), 1 << 16)?;
        divides("pixels.patch", self.patch, "pixels.side", self.side)?;
        within("pixels.side / pixels.patch", self.grid(), 1 << 8)?;
        divides("pixels.heads", self.heads, "pixels.width", self.width)?;
        if !self.width.is_multiple_of(4) {
            return Err(ConfigError::invalid("pixels.width", "a multiple of 4", self.width.to_string()));
        }
        for (key, share) in [
            ("pixels.null_probability", self.null_probability),
            ("pixels.prefix_probability", self.prefix_probability),
            ("pixels.ramp", self.ramp),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(ConfigError::invalid(key, "a share from 0 to 1", share.to_string()));
            }
        }
        for (key, number) in [
            ("pixels.guidance", self.guidance),
            ("pixels.squared_error", self.squared_error),
            ("pixels.contrast", self.contrast),
        ] {
            if !(number >= 0.0 && number.is_finite()) {
                return Err(ConfigError::invalid(key, "a number from 0 on", number.to_string()));
            }
        }
        match self.contrast > 0.0 && !self.train_encoder {
            true => Err(ConfigError::invalid("pixels.contrast", "0 for a frozen encoder", self.contrast.to_string())),
            false => Ok(()),
        }
    }
}

/// A SEED tokenizer and its pixel decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedPixelsConfig {
    /// `seed_pixels`.
    pub model_type: String,
    /// The tokenizer.
    pub seed: SeedConfig,
    /// The decoder.
    #[serde(default)]
    pub pixels: PixelConfig,
}

const NAME: &str = "seed_pixels";

impl SeedPixelsConfig {
    /// The decoder of these sizes for a tokenizer.
    pub fn new(seed: SeedConfig, pixels: PixelConfig) -> Self {
        Self { model_type: NAME.to_owned(), seed, pixels }
    }

    /// Whether a document is of this architecture.
    pub fn describes(document: &Value) -> bool {
        document.get("model_type").and_then(Value::as_str) == Some(NAME)
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is missing or does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_value(document.clone())
            .map_err(|error| ConfigError::invalid("(whole file)", "a SEED and its pixel decoder", error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The configuration as [`SeedPixelsConfig::from_value`] reads it.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.model_type != NAME {
            let found = format!("\"{}\"", self.model_type);
            return Err(ConfigError::invalid("model_type", format!("\"{NAME}\""), found));
        }
        if self.seed.encoder.vit.in_chans != 3 {
            let found = self.seed.encoder.vit.in_chans.to_string();
            return Err(ConfigError::invalid("seed.vit.in_chans", "3, for RGB pictures", found));
        }
        self.seed.check()?;
        self.pixels.check()
    }
}
