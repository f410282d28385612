//! Configuration of a MaskGIT generator, as the released files write it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tessera_tokenizers::ConfigError;

/// Which network fills in the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModelType {
    /// BERT encoder, post-norm ("ImageBert").
    ViT,
    /// U-shaped ViT with skip connections, pre-norm.
    UViT,
}

/// How the guidance scale runs over the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuidanceDecay {
    /// The same at every step.
    Constant,
    /// From 0 at the first step up to the scale.
    Linear,
    /// From 1 up to the scale along a cosine of the step's power.
    PowerCosine,
}

/// `model.generator` and the tokenizer's sizes of a released configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaskGitConfig {
    /// The network.
    #[serde(default = "vit")]
    pub model_type: ModelType,
    /// Channels.
    #[serde(default = "released::<768>")]
    pub hidden_size: usize,
    /// Blocks.
    #[serde(default = "released::<24>")]
    pub num_hidden_layers: usize,
    /// Attention heads.
    #[serde(default = "released::<16>")]
    pub num_attention_heads: usize,
    /// Hidden units of the MLP.
    #[serde(default = "released::<3072>")]
    pub intermediate_size: usize,
    /// Classes.
    #[serde(default = "released::<1000>")]
    pub condition_num_classes: usize,
    /// Tokens of one sample (`model.vq_model.num_latent_tokens`).
    #[serde(skip)]
    pub image_seq_len: usize,
    /// Codes of the tokenizer (`model.vq_model.codebook_size`).
    #[serde(skip)]
    pub codebook_size: usize,
}

fn vit() -> ModelType {
    ModelType::ViT
}

fn released<const N: usize>() -> usize {
    N
}

impl MaskGitConfig {
    /// Reads a whole released configuration.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is missing or does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let model = &document["model"];
        let section = model
            .get("generator")
            .ok_or_else(|| ConfigError::UnknownArchitecture("the config has no model.generator section".to_owned()))?;
        let mut config: Self = serde_json::from_value(section.clone())
            .map_err(|error| ConfigError::invalid("model.generator", "the released keys", error.to_string()))?;
        let tokenizer = |key: &str| {
            let value = &model["vq_model"][key];
            value
                .as_u64()
                .and_then(|number| usize::try_from(number).ok())
                .ok_or_else(|| ConfigError::invalid(key, "a number in model.vq_model", value.to_string()))
        };
        config.codebook_size = tokenizer("codebook_size")?;
        config.image_seq_len = tokenizer("num_latent_tokens")?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let limits = [
            ("hidden_size", self.hidden_size, 1 << 14),
            ("num_hidden_layers", self.num_hidden_layers, 1 << 10),
            ("num_attention_heads", self.num_attention_heads, 1 << 10),
            ("intermediate_size", self.intermediate_size, 1 << 16),
            ("condition_num_classes", self.condition_num_classes, 1 << 24),
            ("codebook_size", self.codebook_size, 1 << 24),
            ("num_latent_tokens", self.image_seq_len, 1 << 16),
        ];
        for (key, value, most) in limits {
            if value == 0 || value > most {
                let expected = format!("a number from 1 to {most}");
                return Err(ConfigError::invalid(key, expected, value.to_string()));
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let found = format!("{} of {}", self.num_attention_heads, self.hidden_size);
            return Err(ConfigError::invalid("num_attention_heads", "a divisor of hidden_size", found));
        }
        Ok(())
    }

    /// Id of the mask token.
    pub fn mask_id(&self) -> usize {
        self.codebook_size
    }

    /// Id that stands for class `class`; `None` is "no class".
    pub fn class_id(&self, class: Option<usize>) -> usize {
        self.codebook_size + 1 + class.unwrap_or(self.condition_num_classes)
    }

    /// Codes, mask, classes and "no class".
    pub fn vocabulary(&self) -> usize {
        self.codebook_size + self.condition_num_classes + 2
    }
}

/// Settings of one sampling run. The default is the reference's function defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SamplingConfig {
    /// Strength of classifier-free guidance.
    pub guidance_scale: f32,
    /// Its course over the steps.
    pub guidance_decay: GuidanceDecay,
    /// Exponent of the power-cosine course.
    pub guidance_scale_pow: f32,
    /// Temperature of both Gumbel draws at the first step; it falls to 0 at the last.
    pub randomize_temperature: f32,
    /// Divide the logits by `0.5 + 0.8 * (1 - ratio)`.
    pub softmax_temperature_annealing: bool,
    /// Steps.
    #[serde(alias = "num_steps")]
    pub num_sample_steps: usize,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        Self {
            guidance_scale: 3.0,
            guidance_decay: GuidanceDecay::Constant,
            guidance_scale_pow: 3.0,
            randomize_temperature: 4.5,
            softmax_temperature_annealing: false,
            num_sample_steps: 8,
        }
    }
}

impl SamplingConfig {
    /// The settings that stand in `model.generator` of a released configuration; absent keys keep the defaults.
    pub fn from_value(document: &Value) -> Self {
        serde_json::from_value(document["model"]["generator"].clone()).unwrap_or_default()
    }

    /// Guidance scale at `step`.
    pub(crate) fn scale_at(&self, step: usize) -> f32 {
        let progress = step as f32 / self.num_sample_steps as f32;
        match self.guidance_decay {
            GuidanceDecay::Constant => self.guidance_scale,
            GuidanceDecay::Linear => self.guidance_scale * progress,
            GuidanceDecay::PowerCosine => {
                let angle = progress.powf(self.guidance_scale_pow) * std::f32::consts::PI;
                1.0 + (self.guidance_scale - 1.0) * (1.0 - angle.cos()) * 0.5
            }
        }
    }
}
