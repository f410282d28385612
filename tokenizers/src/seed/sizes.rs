//! Sizes of SEED's parts, with the keys of recorded configurations.

use serde::{Deserialize, Serialize};

use crate::ConfigError;

/// The vision transformer. Absent keys are those of EVA-CLIP's ViT-g as SEED uses it, without its last block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VitConfig {
    /// Side of the square pictures in pixels.
    pub img_size: usize,
    /// Side of a patch in pixels; divides `img_size`.
    pub patch_size: usize,
    /// Channels of a picture.
    pub in_chans: usize,
    /// Channels of a patch's vector.
    pub embed_dim: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Hidden units of a block's MLP over `embed_dim`, rounded down to a whole number of units.
    pub mlp_ratio: f64,
    /// Whether queries and values have a bias; keys never do.
    pub qkv_bias: bool,
    /// LayerNorm epsilon.
    pub norm_eps: f64,
}

impl Default for VitConfig {
    fn default() -> Self {
        Self {
            img_size: 224,
            patch_size: 14,
            in_chans: 3,
            embed_dim: 1408,
            depth: 39,
            num_heads: 16,
            mlp_ratio: 4.3637,
            qkv_bias: true,
            norm_eps: 1e-6,
        }
    }
}

impl VitConfig {
    /// Patches along one side.
    pub fn grid(&self) -> usize {
        self.img_size / self.patch_size.max(1)
    }

    /// Hidden units of a block's MLP.
    pub fn mlp(&self) -> usize {
        scaled(self.embed_dim, self.mlp_ratio)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        within("vit.img_size", self.img_size, 1 << 13)?;
        within("vit.patch_size", self.patch_size, 1 << 10)?;
        within("vit.in_chans", self.in_chans, 1 << 8)?;
        within("vit.embed_dim", self.embed_dim, 1 << 14)?;
        within("vit.depth", self.depth, 1 << 10)?;
        within("vit.mlp_ratio (times vit.embed_dim)", self.mlp(), 1 << 17)?;
        divides("vit.num_heads", self.num_heads, "vit.embed_dim", self.embed_dim)?;
        divides("vit.patch_size", self.patch_size, "vit.img_size", self.img_size)?;
        within("vit.img_size / vit.patch_size", self.grid(), 1 << 10)?;
        positive("vit.norm_eps", self.norm_eps)
    }
}

/// The Q-Former: a BERT with cross-attention. Absent keys are those of BERT-base as BLIP-2 uses it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QformerConfig {
    /// Words of its text half.
    pub vocab_size: usize,
    /// Channels.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Hidden units of a layer's feed-forward.
    pub intermediate_size: usize,
    /// Activation: `gelu`, the exact one.
    pub hidden_act: String,
    /// LayerNorm epsilon.
    pub layer_norm_eps: f64,
    /// Longest text.
    pub max_position_embeddings: usize,
    /// Every so many layers, the first included, look at the pictures.
    pub cross_attention_freq: usize,
    /// Channels of what cross-attention looks at.
    pub encoder_width: usize,
}

impl Default for QformerConfig {
    fn default() -> Self {
        Self {
            vocab_size: 30_523,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "gelu".to_owned(),
            layer_norm_eps: 1e-12,
            max_position_embeddings: 512,
            cross_attention_freq: 2,
            encoder_width: 1408,
        }
    }
}

impl QformerConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        within("qformer.vocab_size", self.vocab_size, 1 << 24)?;
        within("qformer.hidden_size", self.hidden_size, 1 << 14)?;
        within("qformer.num_hidden_layers", self.num_hidden_layers, 1 << 10)?;
        within("qformer.intermediate_size", self.intermediate_size, 1 << 17)?;
        within("qformer.max_position_embeddings", self.max_position_embeddings, 1 << 20)?;
        within("qformer.cross_attention_freq", self.cross_attention_freq, 1 << 10)?;
        within("qformer.encoder_width", self.encoder_width, 1 << 14)?;
        divides("qformer.num_attention_heads", self.num_attention_heads, "qformer.hidden_size", self.hidden_size)?;
        positive("qformer.layer_norm_eps", self.layer_norm_eps)?;
        match self.hidden_act.as_str() {
            "gelu" => Ok(()),
            other => Err(ConfigError::invalid("qformer.hidden_act", "\"gelu\"", format!("\"{other}\""))),
        }
    }
}

/// The reverse Q-Former, which turns 32 decoded vectors into the tokens of its features. Width, heads and feed-forward are those of
/// the encoder's Q-Former.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReverseConfig {
    /// Layers.
    pub num_hidden_layers: usize,
    /// Learned tokens, one for each row of the features.
    pub num_query_token: usize,
    /// Channels of what cross-attention looks at: the encoder Q-Former's width.
    pub encoder_width: usize,
    /// Every so many layers, the first included, have cross-attention.
    pub cross_attention_freq: usize,
}

impl Default for ReverseConfig {
    fn default() -> Self {
        Self { num_hidden_layers: 4, num_query_token: 1, encoder_width: 768, cross_attention_freq: 2 }
    }
}

impl ReverseConfig {
    /// Sizes of the network, from those of the encoder's Q-Former.
    pub(super) fn qformer(&self, encoder: &QformerConfig) -> QformerConfig {
        QformerConfig {
            num_hidden_layers: self.num_hidden_layers,
            cross_attention_freq: self.cross_attention_freq,
            encoder_width: self.encoder_width,
            ..encoder.clone()
        }
    }

    pub(super) fn check(&self, width: usize) -> Result<(), ConfigError> {
        within("reverse_qformer.num_hidden_layers", self.num_hidden_layers, 1 << 10)?;
        within("reverse_qformer.num_query_token", self.num_query_token, 1 << 14)?;
        within("reverse_qformer.cross_attention_freq", self.cross_attention_freq, 1 << 10)?;
        if self.encoder_width != width {
            let expected = format!("{width}, the width of the vectors it looks at (qformer.hidden_size)");
            return Err(ConfigError::invalid(
                "reverse_qformer.encoder_width",
                expected,
                self.encoder_width.to_string(),
            ));
        }
        Ok(())
    }
}

/// A fixed mix that a start is made of, beside what is learned. Key of ours: absent in released configurations, and absent means
/// none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mix {
    /// The lowest frequencies of the two-dimensional cosine transform over the grid of patches, one for each token.
    Dct,
}

/// Weights of the losses of the second training stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LossWeights {
    /// Of the quantizer's loss.
    pub embed: f64,
    /// Of the distance to the teacher's features.
    pub distil_image: f64,
    /// Of the cosine distance to the causal embeddings.
    pub recon: f64,
}

impl Default for LossWeights {
    /// 5, 0.5 and 2, as released.
    fn default() -> Self {
        Self { embed: 5.0, distil_image: 0.5, recon: 2.0 }
    }
}

impl LossWeights {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let weights = [("embed", self.embed), ("distil_image", self.distil_image), ("recon", self.recon)];
        match weights.into_iter().find(|(_, weight)| !(*weight >= 0.0 && weight.is_finite())) {
            Some((key, weight)) => {
                let key = format!("loss_weights.{key}");
                Err(ConfigError::invalid(&key, "a number from 0 on", weight.to_string()))
            }
            None => Ok(()),
        }
    }
}

/// `width` times `ratio`, rounded down; 0 where that is no number of channels.
pub(crate) fn scaled(width: usize, ratio: f64) -> usize {
    let product = width as f64 * ratio;
    // `as` keeps to the range of the type, and makes 0 of what is no number.
    product as usize
}

pub(crate) fn within(key: &str, value: usize, most: usize) -> Result<(), ConfigError> {
    match (1..=most).contains(&value) {
        true => Ok(()),
        false => Err(ConfigError::invalid(key, format!("a number from 1 to {most}"), value.to_string())),
    }
}

pub(crate) fn divides(key: &str, value: usize, of: &str, whole: usize) -> Result<(), ConfigError> {
    match value > 0 && whole.is_multiple_of(value) {
        true => Ok(()),
        false => Err(ConfigError::invalid(key, format!("a divisor of {of}, which is {whole}"), value.to_string())),
    }
}

pub(super) fn positive(key: &str, value: f64) -> Result<(), ConfigError> {
    match value > 0.0 && value.is_finite() {
        true => Ok(()),
        false => Err(ConfigError::invalid(key, "a positive number", value.to_string())),
    }
}
