//! Configuration of a TokenFlow.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tessera_layers::conv_autoencoder::ConvSizes;
use tessera_layers::siglip::VisionSizes;

use super::{Scales, presets};
use crate::config::ConfigError;

/// Which pretrained encoder the semantic branch started from, by the name in the released code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Teacher {
    /// OpenAI's CLIP ViT-B/16.
    #[serde(rename = "clipb_224")]
    Clip,
    /// SigLIP-so400m, patch 14, 384 pixels.
    #[serde(rename = "siglip_384")]
    Siglip,
}

/// Sizes of a CLIP vision tower.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClipSizes {
    /// Side of the pictures that the table of positions was made for, in pixels.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Channels.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Hidden units of the MLPs, in channels.
    #[serde(default = "four")]
    pub mlp_ratio: f64,
}

/// Sizes of a SigLIP vision tower.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SiglipSizes {
    /// Side of the pictures in pixels.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Channels.
    pub width: usize,
    /// Blocks; the last one is not run.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Hidden units of the MLPs.
    pub intermediate_size: usize,
}

/// Sizes of the semantic branch's encoder.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SemanticEncoder {
    /// CLIP.
    ClipVit(ClipSizes),
    /// SigLIP.
    SiglipVision(SiglipSizes),
}

/// Sizes of the semantic decoder.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SemanticDecoderSizes {
    /// Channels.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Positions a side that its table was made for.
    pub grid: usize,
    /// Hidden units of the MLPs, in channels.
    #[serde(default = "four")]
    pub mlp_ratio: f64,
}

fn four() -> f64 {
    4.0
}

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
const GROUPS: usize = 32;

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

    /// Checks that sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_numbers()?;
        self.check_levels()?;
        self.check_towers()?;
        let grid = self.grid();
        let invalid = |key: &str, expected: String, found: String| Err(ConfigError::invalid(key, expected, found));
        let fits = (1..=32).contains(&self.scales.len()) && self.scales.iter().all(|scale| (1..=grid).contains(scale));
        if !fits || grid > 1 << 10 {
            let expected = "1 to 32 sides of grids, none larger than the last".to_owned();
            return invalid("scales", expected, format!("{:?}", self.scales));
        }
        let cells = self.image_size / self.patch();
        if cells != grid {
            let expected = format!("{cells}, the patches of {} pixels in {}", self.patch(), self.image_size);
            return invalid("scales (the last)", expected, grid.to_string());
        }
        match (self.teacher, &self.semantic_encoder) {
            (Teacher::Clip, SemanticEncoder::ClipVit(_)) if self.image_size / self.downsampling() != grid => {
                let expected = format!("{grid} times the {} pixels of a cell", self.downsampling());
                invalid("image_size", expected, self.image_size.to_string())
            }
            (Teacher::Siglip, SemanticEncoder::SiglipVision(sizes)) if sizes.image_size / sizes.patch_size != grid => {
                let expected = format!("a side with {grid} patches: this encoder's positions are not resized");
                invalid("semantic_encoder.image_size", expected, sizes.image_size.to_string())
            }
            (Teacher::Clip, SemanticEncoder::ClipVit(_)) | (Teacher::Siglip, SemanticEncoder::SiglipVision(_)) => {
                Ok(())
            }
            (Teacher::Clip, _) => {
                invalid("semantic_encoder.kind", "clip_vit for this teacher".to_owned(), "siglip_vision".to_owned())
            }
            (Teacher::Siglip, _) => {
                invalid("semantic_encoder.kind", "siglip_vision for this teacher".to_owned(), "clip_vit".to_owned())
            }
        }
    }

    fn check_numbers(&self) -> Result<(), ConfigError> {
        if self.model != "TokenFlow" {
            return Err(ConfigError::invalid("model", "TokenFlow", self.model.clone()));
        }
        for (key, value, most) in [
            ("image_size", self.image_size, 1 << 13),
            ("codebook_size", self.codebook_size, 1 << 24),
            ("codebook_embed_dim", self.codebook_embed_dim, 1 << 12),
            ("semantic_code_dim", self.semantic_code_dim, 1 << 12),
            ("z_channels", self.z_channels, 1 << 14),
            ("encoder_num_res_blocks", self.encoder_num_res_blocks, 1 << 6),
            ("decoder_num_res_blocks", self.decoder_num_res_blocks, 1 << 6),
            ("decoder_out_dim", self.decoder_out_dim, 1 << 16),
        ] {
            if !(1..=most).contains(&value) {
                return Err(ConfigError::invalid(key, format!("a number from 1 to {most}"), value.to_string()));
            }
        }
        if !self.codebook_l2_norm {
            return Err(ConfigError::invalid("codebook_l2_norm", "true: the released code has no other form", "false"));
        }
        let numbers = [("commit_loss_beta", self.commit_loss_beta), ("entropy_loss_ratio", self.entropy_loss_ratio)];
        match numbers.into_iter().find(|(_, value)| !(*value >= 0.0 && value.is_finite())) {
            Some((key, value)) => Err(ConfigError::invalid(key, "a number from 0 on", value.to_string())),
            None => Ok(()),
        }
    }

    fn check_levels(&self) -> Result<(), ConfigError> {
        for (key, ch, mult) in [
            ("encoder_ch_mult", self.encoder_ch, &self.encoder_ch_mult),
            ("decoder_ch_mult", self.decoder_ch, &self.decoder_ch_mult),
        ] {
            let fits = |mult: &usize| {
                let width = ch.saturating_mul(*mult);
                (1..=1 << 16).contains(&width) && width.is_multiple_of(GROUPS)
            };
            let stem_fits = (1..=1 << 16).contains(&ch) && ch.is_multiple_of(GROUPS);
            if !(1..=12).contains(&mult.len()) || !mult.iter().all(fits) || !stem_fits {
                let expected = format!("1 to 12 levels whose widths ({ch} times each) are multiples of {GROUPS}");
                return Err(ConfigError::invalid(key, expected, format!("{mult:?}")));
            }
        }
        if self.encoder_ch_mult.len() != self.decoder_ch_mult.len() {
            let expected = format!("{} levels, as the encoder has", self.encoder_ch_mult.len());
            return Err(ConfigError::invalid("decoder_ch_mult", expected, self.decoder_ch_mult.len().to_string()));
        }
        Ok(())
    }

    fn check_towers(&self) -> Result<(), ConfigError> {
        let decoder = &self.semantic_decoder;
        let tower = match &self.semantic_encoder {
            SemanticEncoder::ClipVit(sizes) => {
                let hidden = hidden(sizes.width, sizes.mlp_ratio);
                [sizes.image_size, sizes.patch_size, sizes.width, sizes.layers, sizes.heads, hidden]
            }
            SemanticEncoder::SiglipVision(sizes) => {
                let hidden = sizes.intermediate_size;
                [sizes.image_size, sizes.patch_size, sizes.width, sizes.layers, sizes.heads, hidden]
            }
        };
        let decoder_hidden = hidden(decoder.width, decoder.mlp_ratio);
        let sides = [decoder.grid, 1, decoder.width, decoder.layers, decoder.heads, decoder_hidden];
        let names = [
            ["image_size", "patch_size", "width", "layers", "heads", "mlp_ratio or intermediate_size"],
            ["grid", "(patch)", "width", "layers", "heads", "mlp_ratio"],
        ];
        for ((section, names), sizes) in
            ["semantic_encoder", "semantic_decoder"].into_iter().zip(names).zip([tower, sides])
        {
            for (name, value) in names.into_iter().zip(sizes) {
                if !(1..=1 << 16).contains(&value) {
                    let found = value.to_string();
                    return Err(ConfigError::invalid(&format!("{section}.{name}"), "a number from 1 to 65536", found));
                }
            }
            let [side, patch, width, _, heads, _] = sizes;
            if !width.is_multiple_of(heads) {
                let expected = format!("a divisor of the width {width}");
                return Err(ConfigError::invalid(&format!("{section}.heads"), expected, heads.to_string()));
            }
            if patch > side || side / patch > 1 << 10 {
                let expected = format!("1 to 1024 patches in {side} pixels");
                return Err(ConfigError::invalid(&format!("{section}.patch_size"), expected, patch.to_string()));
            }
        }
        Ok(())
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

impl SiglipSizes {
    pub(super) fn vision(&self) -> VisionSizes {
        VisionSizes {
            image: self.image_size,
            patch: self.patch_size,
            width: self.width,
            layers: self.layers,
            heads: self.heads,
            hidden: self.intermediate_size,
            epsilon: 1e-6,
        }
    }
}

/// Hidden units of an MLP.
pub(super) fn hidden(width: usize, ratio: f64) -> usize {
    (width as f64 * ratio) as usize
}
