//! Sizes of a TokenFlow's transformers.

use serde::{Deserialize, Serialize};
use tessera_layers::siglip::VisionSizes;

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
