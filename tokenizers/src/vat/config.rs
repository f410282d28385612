//! Sizes of a VAT.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::ConfigError;
use crate::quantizers::ScaleQuantizerConfig;

/// Sizes and variants, a section for each part; unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VatConfig {
    /// `vat`.
    #[serde(default = "name")]
    pub model_type: String,
    /// Latents: the tokens of the last scale.
    pub num_latents: usize,
    /// Channels of a latent and of a code.
    pub latent_dim: usize,
    /// What goes in.
    #[serde(default)]
    pub input: PointsConfig,
    /// The encoder.
    pub encoder: TowerConfig,
    /// The quantizer.
    pub quantizer: ScaleQuantizerConfig,
    /// The decoder.
    pub decoder: PlaneTowerConfig,
    /// The planes.
    pub triplane: TriplaneConfig,
    /// The MLP.
    pub occupancy: OccupancyConfig,
    /// Weights of the losses.
    #[serde(default)]
    pub loss: LossConfig,
}

/// Points and their features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PointsConfig {
    /// Points of a shape in training; any number can be encoded.
    pub num_points: usize,
    /// Whether each comes with its normal.
    pub use_normals: bool,
    /// Frequencies of the Fourier features, 1, 2, 4 and so on.
    pub num_freqs: usize,
    /// Whether frequencies are multiples of pi.
    pub include_pi: bool,
}

impl Default for PointsConfig {
    /// Those of the presets.
    fn default() -> Self {
        Self { num_points: 16_384, use_normals: true, num_freqs: 8, include_pi: true }
    }
}

impl PointsConfig {
    /// Features of a point.
    pub fn features(&self) -> usize {
        3 * (2 * self.num_freqs + 1) + if self.use_normals { 3 } else { 0 }
    }
}

/// A stack of blocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TowerConfig {
    /// Channels.
    pub dim: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Hidden units of an MLP for each channel.
    #[serde(default = "ratio")]
    pub mlp_ratio: f64,
}

/// The decoder's stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlaneTowerConfig {
    /// Channels.
    pub dim: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Hidden units of an MLP for each channel.
    #[serde(default = "ratio")]
    pub mlp_ratio: f64,
    /// Side of the square of tokens that becomes a plane.
    pub plane_tokens: usize,
}

impl PlaneTowerConfig {
    /// The stack alone.
    pub fn tower(&self) -> TowerConfig {
        TowerConfig { dim: self.dim, depth: self.depth, heads: self.heads, mlp_ratio: self.mlp_ratio }
    }
}

/// The convolutions that enlarge the planes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriplaneConfig {
    /// Channels before the first and after each stage; every stage doubles the side.
    pub channels: Vec<usize>,
    /// Channels of the finished planes.
    pub out_channels: usize,
    /// Groups of every normalisation, which divide all of `channels`.
    #[serde(default = "groups")]
    pub norm_groups: usize,
    /// The planes cover -bounds..=bounds.
    #[serde(default = "one")]
    pub bounds: f64,
}

/// The MLP from features to a logit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OccupancyConfig {
    /// Hidden units.
    pub hidden: usize,
    /// Linear layers.
    pub layers: usize,
}

/// Weights of the losses, beside that of volume points, which is 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LossConfig {
    /// Points near the surface.
    pub near_weight: f64,
    /// Divergence from the normal distribution.
    pub kl_weight: f64,
    /// The quantizer.
    pub vq_weight: f64,
    /// Of a batch's query points, how many are spread over the volume; the others lie near the surface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_volume_queries: Option<usize>,
}

impl Default for LossConfig {
    /// Those of the presets.
    fn default() -> Self {
        Self { near_weight: 0.1, kl_weight: 1e-4, vq_weight: 1.0, num_volume_queries: None }
    }
}

fn name() -> String {
    "vat".to_owned()
}

fn ratio() -> f64 {
    4.0
}

fn groups() -> usize {
    32
}

fn one() -> f64 {
    1.0
}

impl TowerConfig {
    /// Hidden units of an MLP.
    pub fn hidden(&self) -> usize {
        (self.dim as f64 * self.mlp_ratio) as usize
    }

    /// Checks that sizes fit together; `section` is named in errors.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self, section: &str) -> Result<(), ConfigError> {
        let key = |key: &str| format!("{section}.{key}");
        within(&key("dim"), self.dim, 1 << 14)?;
        within(&key("depth"), self.depth, 1 << 10)?;
        if self.heads == 0 || !self.dim.is_multiple_of(self.heads) {
            let expected = format!("a divisor of the {} channels", self.dim);
            return Err(ConfigError::invalid(&key("heads"), expected, self.heads.to_string()));
        }
        if !(self.mlp_ratio > 0.0 && self.mlp_ratio <= 64.0) || self.hidden() == 0 {
            let found = self.mlp_ratio.to_string();
            return Err(ConfigError::invalid(&key("mlp_ratio"), "a number above 0 and up to 64", found));
        }
        Ok(())
    }
}

impl TriplaneConfig {
    /// Stages, each of which doubles the side.
    pub fn stages(&self) -> usize {
        self.channels.len().saturating_sub(1)
    }

    fn check(&self) -> Result<(), ConfigError> {
        if !(1..=8).contains(&self.channels.len()) {
            let found = format!("{} numbers", self.channels.len());
            return Err(ConfigError::invalid("triplane.channels", "1 to 8 numbers", found));
        }
        for &channels in &self.channels {
            within("triplane.channels", channels, 1 << 14)?;
            if self.norm_groups == 0 || !channels.is_multiple_of(self.norm_groups) {
                let expected = format!("a divisor of all of {:?}", self.channels);
                return Err(ConfigError::invalid("triplane.norm_groups", expected, self.norm_groups.to_string()));
            }
        }
        within("triplane.out_channels", self.out_channels, 1 << 14)?;
        check_bounds(self.bounds)
    }
}

impl OccupancyConfig {
    /// Checks the sizes.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        within("occupancy.hidden", self.hidden, 1 << 14)?;
        within("occupancy.layers", self.layers, 1 << 8)
    }
}

/// Checks half the side of the box that planes cover.
///
/// # Errors
/// [`ConfigError`] for anything but a number above 0.
pub(crate) fn check_bounds(bounds: f64) -> Result<(), ConfigError> {
    match bounds > 0.0 && bounds.is_finite() {
        true => Ok(()),
        false => Err(ConfigError::invalid("triplane.bounds", "a number above 0", bounds.to_string())),
    }
}

fn within(key: &str, value: usize, most: usize) -> Result<(), ConfigError> {
    match (1..=most).contains(&value) {
        true => Ok(()),
        false => Err(ConfigError::invalid(key, format!("a number from 1 to {most}"), value.to_string())),
    }
}

impl VatConfig {
    /// Whether a document is of this architecture.
    pub fn describes(document: &Value) -> bool {
        ["encoder", "quantizer", "decoder", "triplane"].iter().all(|section| document[section].is_object())
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is missing or does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_value(document.clone())
            .map_err(|error| ConfigError::invalid("(whole file)", "sizes of a VAT", error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The configuration as [`VatConfig::from_value`] reads it.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.model_type != "vat" {
            return Err(ConfigError::invalid("model_type", "vat", self.model_type.clone()));
        }
        within("num_latents", self.num_latents, 1 << 16)?;
        within("latent_dim", self.latent_dim, 1 << 12)?;
        within("input.num_points", self.input.num_points, 1 << 24)?;
        if self.input.num_freqs > 24 {
            let found = self.input.num_freqs.to_string();
            return Err(ConfigError::invalid("input.num_freqs", "a number up to 24", found));
        }
        self.encoder.check("encoder")?;
        self.quantizer.check(self.num_latents)?;
        self.decoder.tower().check("decoder")?;
        within("decoder.plane_tokens", self.decoder.plane_tokens, 1 << 9)?;
        self.triplane.check()?;
        within("triplane (side of a plane)", self.plane_side(), 1 << 12)?;
        self.occupancy.check()?;
        let LossConfig { near_weight, kl_weight, vq_weight, .. } = self.loss;
        let weights = [("near_weight", near_weight), ("kl_weight", kl_weight), ("vq_weight", vq_weight)];
        match weights.into_iter().find(|(_, weight)| !(*weight >= 0.0 && weight.is_finite())) {
            Some((key, weight)) => {
                Err(ConfigError::invalid(&format!("loss.{key}"), "a number from 0 on", weight.to_string()))
            }
            None => Ok(()),
        }
    }

    /// Texels of a finished plane in each direction.
    pub fn plane_side(&self) -> usize {
        self.decoder.plane_tokens << self.triplane.stages()
    }
}
