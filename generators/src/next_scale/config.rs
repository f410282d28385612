//! Sizes of a generator over scales.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tessera_tokenizers::quantizers::ScaleQuantizerConfig;
use tessera_tokenizers::vat::TowerConfig;
use tessera_tokenizers::{ConfigError, Fingerprint};

use crate::Words;

/// The tokenizer's quantizer and the network over its tokens; unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NextScaleConfig {
    /// `vat`.
    #[serde(default = "name")]
    pub model_type: String,
    /// Channels of a latent and of a code.
    pub latent_dim: usize,
    /// Latents: the tokens of the last scale.
    pub num_latents: usize,
    /// The quantizer whose tokens are generated.
    pub quantizer: ScaleQuantizerConfig,
    /// The network.
    pub ar: ScaleArConfig,
}

/// What features a condition is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConditionKind {
    /// Features of a picture, such as the 257 x 1024 of DINOv2 ViT-L/14.
    Image,
    /// Features of a text, such as the 77 x 768 of CLIP-L.
    Text,
}

/// The section `ar`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScaleArConfig {
    /// Channels.
    pub dim: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Hidden units of an MLP for each channel.
    #[serde(default = "four")]
    pub mlp_ratio: f64,
    /// Whether queries and keys have unit length, and heads a learned temperature.
    #[serde(default = "yes")]
    pub qk_norm: bool,
    /// Positions of the condition's features; 0 for no such condition.
    #[serde(default)]
    pub cond_tokens: usize,
    /// Channels of the condition's features.
    #[serde(default)]
    pub cond_dim: usize,
    /// Key of ours: what the features are of.
    #[serde(default = "image")]
    pub cond_kind: ConditionKind,
    /// Key of ours: positions of a second condition's features; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cond2_tokens: usize,
    /// Key of ours: channels of a second condition's features.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cond2_dim: usize,
    /// Key of ours: what the second features are of.
    #[serde(default = "text")]
    pub cond2_kind: ConditionKind,
    /// Key of ours: classes, if it is conditioned on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// Key of ours: names of the first classes, so that they can be asked for by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// Key of ours: words that captions are made of, if it is conditioned on captions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Words>,
    /// Key of ours: most words of a caption; a training on captions takes their words where this is not 0 and there are no classes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub most_words: usize,
    /// Key of ours: share of samples that are learnt without a condition.
    #[serde(default = "tenth")]
    pub cond_drop: f32,
    /// Key of ours: guidance of the last scale where nothing else is asked for: logits are `(1 + cfg) c - cfg u`.
    #[serde(default = "cfg")]
    pub cfg: f32,
    /// Key of ours: share of the probability that is drawn from where nothing else is asked for.
    #[serde(default = "top_p")]
    pub top_p: f32,
    /// Key of ours: the tokenizer whose tokens were learnt, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
}

/// A condition of features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConditionSizes {
    /// What the features are of.
    pub kind: ConditionKind,
    /// Their positions.
    pub tokens: usize,
    /// Their channels.
    pub dim: usize,
}

fn name() -> String {
    "vat".to_owned()
}

fn four() -> f64 {
    4.0
}

fn yes() -> bool {
    true
}

fn image() -> ConditionKind {
    ConditionKind::Image
}

fn text() -> ConditionKind {
    ConditionKind::Text
}

fn tenth() -> f32 {
    0.1
}

fn cfg() -> f32 {
    1.5
}

fn top_p() -> f32 {
    0.95
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl ScaleArConfig {
    /// The stack of blocks.
    pub fn tower(&self) -> TowerConfig {
        TowerConfig { dim: self.dim, depth: self.depth, heads: self.heads, mlp_ratio: self.mlp_ratio }
    }

    /// The conditions of features, in the order of their positions.
    pub fn conditions(&self) -> Vec<ConditionSizes> {
        let first = ConditionSizes { kind: self.cond_kind, tokens: self.cond_tokens, dim: self.cond_dim };
        let second = ConditionSizes { kind: self.cond2_kind, tokens: self.cond2_tokens, dim: self.cond2_dim };
        [first, second].into_iter().filter(|sizes| sizes.tokens > 0).collect()
    }

    /// Condition positions before the first scale.
    pub fn condition_positions(&self) -> usize {
        let words = if self.words.is_some() { self.most_words } else { 0 };
        usize::from(self.classes.is_some()) + words + self.cond_tokens + self.cond2_tokens
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.tower().check("ar")?;
        if let Some(classes) = self.classes
            && !(1..=1 << 24).contains(&classes)
        {
            return Err(ConfigError::invalid("ar.classes", "a number from 1 to 16777216", classes.to_string()));
        }
        if self.class_names.len() > self.classes.unwrap_or(0) {
            let expected = format!("names of up to {} classes (ar.classes)", self.classes.unwrap_or(0));
            return Err(ConfigError::invalid("ar.class_names", expected, self.class_names.len().to_string()));
        }
        if self.most_words > 1 << 12 || self.words.is_some() && self.most_words == 0 {
            let expected = "a number up to 4096, and not 0 beside words";
            return Err(ConfigError::invalid("ar.most_words", expected, self.most_words.to_string()));
        }
        for (key, tokens, dim) in
            [("ar.cond", self.cond_tokens, self.cond_dim), ("ar.cond2", self.cond2_tokens, self.cond2_dim)]
        {
            if tokens > 1 << 16 {
                return Err(ConfigError::invalid(&format!("{key}_tokens"), "a number up to 65536", tokens.to_string()));
            }
            if tokens > 0 && !(1..=1 << 16).contains(&dim) {
                let found = dim.to_string();
                return Err(ConfigError::invalid(&format!("{key}_dim"), "a number from 1 to 65536", found));
            }
        }
        if self.cond2_tokens > 0 && (self.cond_tokens == 0 || self.cond_kind == self.cond2_kind) {
            let expected = "another sort of features than the first condition has, which is there";
            return Err(ConfigError::invalid("ar.cond2_kind", expected, format!("{:?}", self.cond2_kind)));
        }
        if !(0.0..=1.0).contains(&self.cond_drop) {
            return Err(ConfigError::invalid("ar.cond_drop", "a share", self.cond_drop.to_string()));
        }
        if !(self.cfg >= 0.0 && self.cfg.is_finite()) {
            return Err(ConfigError::invalid("ar.cfg", "a number from 0 on", self.cfg.to_string()));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(ConfigError::invalid("ar.top_p", "a share above 0", self.top_p.to_string()));
        }
        match &self.tokenizer {
            Some(tokenizer) if Fingerprint::from_hex(tokenizer).is_none() => {
                Err(ConfigError::invalid("ar.tokenizer", "64 hexadecimal digits", tokenizer.clone()))
            }
            _ => Ok(()),
        }
    }
}

impl NextScaleConfig {
    /// Whether a document is of this architecture.
    pub fn describes(document: &Value) -> bool {
        document["ar"].is_object() && document["quantizer"].is_object()
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is missing or does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_value(document.clone()).map_err(|error| {
            ConfigError::invalid("(whole file)", "sizes of a generator over scales", error.to_string())
        })?;
        config.check()?;
        Ok(config)
    }

    /// The configuration as [`NextScaleConfig::from_value`] reads it.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Checks that sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.model_type != "vat" {
            return Err(ConfigError::invalid("model_type", "vat", self.model_type.clone()));
        }
        for (key, value, most) in [("num_latents", self.num_latents, 1 << 16), ("latent_dim", self.latent_dim, 1 << 12)]
        {
            if !(1..=most).contains(&value) {
                return Err(ConfigError::invalid(key, format!("a number from 1 to {most}"), value.to_string()));
            }
        }
        self.quantizer.check(self.num_latents)?;
        self.ar.check()
    }
}
