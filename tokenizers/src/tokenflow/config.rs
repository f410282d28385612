//! Configuration of a TokenFlow.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tessera_layers::conv_autoencoder::ConvSizes;

use super::{Scales, SemanticDecoderSizes, SemanticEncoder, Teacher, presets};
use crate::config::ConfigError;

/// Sizes and variants: the arguments of the released constructor, and what it fixes for each teacher. In a document, what is
/// absent is as released for its teacher; unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenFlowConfig {
    /// `TokenFlow`.
    pub model: String,
    /// What the semantic branch started from.
    pub teacher: Teacher,
    /// Side of the pictures in pixels.
    pub image_size: usize,
    /// CLIP: whether pictures are larger than those that it was made for.
    pub infer_interpolate: bool,
    /// Whether the pixel decoder is the wider and deeper one.
    pub enhanced_decoder: bool,
    /// Indices.
    pub codebook_size: usize,
    /// Channels of a pixel code.
    pub codebook_embed_dim: usize,
    /// Channels of a semantic code.
    pub semantic_code_dim: usize,
    /// Whether codes are compared on the unit sphere: always so.
    pub codebook_l2_norm: bool,
    /// Weight of the commitment.
    pub commit_loss_beta: f64,
    /// Weight of the entropy term.
    pub entropy_loss_ratio: f64,
    /// Channels between the convolutional networks and the codes.
    pub z_channels: usize,
    /// Base width of the pixel encoder.
    pub encoder_ch: usize,
    /// Its levels' widths in base widths.
    pub encoder_ch_mult: Vec<usize>,
    /// Its residual blocks in a level.
    pub encoder_num_res_blocks: usize,
    /// Base width of the pixel decoder.
    pub decoder_ch: usize,
    /// Its levels' widths in base widths.
    pub decoder_ch_mult: Vec<usize>,
    /// Its residual blocks in a level, less one.
    pub decoder_num_res_blocks: usize,
    /// Side of the grid of each scale.
    pub scales: Vec<usize>,
    /// The semantic encoder.
    pub semantic_encoder: SemanticEncoder,
    /// The semantic decoder.
    pub semantic_decoder: SemanticDecoderSizes,
    /// Channels of the semantic features that are reconstructed.
    pub decoder_out_dim: usize,
}

/// Groups of every group normalisation.
pub(super) const GROUPS: usize = 32;

impl TokenFlowConfig {
    /// The configuration of a released model, or `None` for an unknown name.
    pub fn preset(name: &str) -> Option<Self> {
        serde_json::from_value(presets::preset(name)?).ok()
    }

    /// Whether a document is of this architecture.
    pub fn describes(document: &Value) -> bool {
        document["model"].as_str() == Some("TokenFlow") || document["teacher"].is_string()
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] naming what does not fit; [`ConfigError::Unsupported`] for the variant with a ViTamin.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let teacher = document["teacher"].as_str().unwrap_or_default();
        let flag = |key: &str| document[key].as_bool().unwrap_or(false);
        if teacher == "vitamin_xlarge_256" {
            return Err(ConfigError::Unsupported(
                "TokenFlow with a ViTamin (\"teacher\": \"vitamin_xlarge_256\") is not built, since no such tokenizer was \
                 released: use one whose teacher is clipb_224 or siglip_384"
                    .to_owned(),
            ));
        }
        if flag("kmeans") {
            return Err(ConfigError::invalid("kmeans", "false: releases learn their codes by gradients", "true"));
        }
        let Some(Value::Object(mut whole)) =
            presets::as_released(teacher, flag("infer_interpolate"), flag("enhanced_decoder"))
        else {
            return Err(ConfigError::invalid("teacher", "clipb_224 or siglip_384", document["teacher"].to_string()));
        };
        for (key, value) in document.as_object().into_iter().flatten() {
            whole.insert(key.clone(), value.clone());
        }
        let config: Self = serde_json::from_value(Value::Object(whole))
            .map_err(|error| ConfigError::invalid("(whole file)", "sizes of a TokenFlow", error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The configuration as [`TokenFlowConfig::from_value`] reads it.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Side of the grid of latents: that of the last scale.
    pub fn grid(&self) -> usize {
        self.scales.last().copied().unwrap_or(1)
    }

    /// The scales.
    pub fn scales(&self) -> Scales {
        Scales::new(&self.scales)
    }

    /// Channels of a pair of codes.
    pub fn code_dim(&self) -> usize {
        self.semantic_code_dim + self.codebook_embed_dim
    }

    /// How many pixels wide one cell of the pixel branch's grid is.
    pub fn downsampling(&self) -> usize {
        1 << self.encoder_ch_mult.len().saturating_sub(1)
    }

    /// Side of the pictures that the pixel branch reads and makes: those of a SigLIP are resized to it and back.
    pub fn pixel_side(&self) -> usize {
        self.grid() * self.downsampling()
    }

    /// Channels of the semantic encoder.
    pub fn semantic_width(&self) -> usize {
        match &self.semantic_encoder {
            SemanticEncoder::ClipVit(sizes) => sizes.width,
            SemanticEncoder::SiglipVision(sizes) => sizes.width,
        }
    }

    /// Side of a patch of the semantic encoder in pixels.
    pub fn patch(&self) -> usize {
        match &self.semantic_encoder {
            SemanticEncoder::ClipVit(sizes) => sizes.patch_size,
            SemanticEncoder::SiglipVision(sizes) => sizes.patch_size,
        }
    }

    fn sizes(ch: usize, mult: &[usize], blocks: usize) -> ConvSizes {
        ConvSizes {
            stem: Some(ch),
            widths: mult.iter().map(|mult| ch * mult).collect(),
            blocks,
            groups: GROUPS,
            middle_attention: true,
            attention_levels: vec![mult.len().saturating_sub(1)],
        }
    }

    pub(super) fn encoder_sizes(&self) -> ConvSizes {
        Self::sizes(self.encoder_ch, &self.encoder_ch_mult, self.encoder_num_res_blocks)
    }

    pub(super) fn decoder_sizes(&self) -> ConvSizes {
        Self::sizes(self.decoder_ch, &self.decoder_ch_mult, self.decoder_num_res_blocks + 1)
    }
}
