//! TokenFlow: one index addresses a semantic and a pixel codebook, scale after scale.
//!
//! ```text
//!            ┌─CLIP or SigLIP, task layer─▶ [b, 32, g, g] ─┐
//! image ─────┤                                             ├─▶ residual ─each scale: shrink, nearest pair of codes, enlarge─▶ ids
//!            └─convolutional encoder──────▶ [b,  8, g, g] ─┘
//!
//! ids ─▶ sum of enlarged codes ─┬─▶ semantic features [b, g g, out]
//!                               └─▶ image
//! ```
//!
//! Distances in both codebooks are added before the nearest index is taken, so that pictures that mean and look alike share
//! indices. Tokens have the layout `Scales`; any number of whole scales decodes, as a coarse picture.
//!
//! Source: Qu et al. 2024 (arXiv 2412.03069) and its released code. Built are the variants with a CLIP-B/16 and with a
//! SigLIP-so400m encoder; the one with a ViTamin, which was never released, is refused by name.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use tessera_tokenizers::tokenflow::{TokenFlowConfig, random};
//! use tessera_tokenizers::{DecodeOptions, Input, Tokenizer as _};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let document = serde_json::json!({
//!     "model": "TokenFlow", "teacher": "clipb_224", "image_size": 16, "scales": [1, 2, 4], "codebook_size": 50,
//!     "z_channels": 8, "encoder_ch": 32, "encoder_ch_mult": [1, 1, 1], "encoder_num_res_blocks": 1,
//!     "decoder_ch": 32, "decoder_ch_mult": [1, 1, 1], "decoder_num_res_blocks": 1, "decoder_out_dim": 8,
//!     "semantic_encoder": {"kind": "clip_vit", "image_size": 12, "patch_size": 4, "width": 24, "layers": 1, "heads": 3},
//!     "semantic_decoder": {"width": 24, "layers": 1, "heads": 3, "grid": 3},
//! }); // small, to run in a moment; what is absent is that of the release
//! let (tokenizer, _) = random(&TokenFlowConfig::from_value(&document)?, 0, &Device::flex())?;
//! let tokens = tokenizer.encode(&Input::Images(Tensor::zeros([1, 3, 16, 16], &Device::flex())))?;
//! assert_eq!(tokens.positions(), 1 + 4 + 16);
//! let coarse = tokenizer.decode(&tokens, &DecodeOptions::prefix(1 + 4))?.into_images();
//! assert_eq!(coarse.map(|picture| picture.dims()), Some([1, 3, 16, 16]));
//! # Ok(())
//! # }
//! ```

mod check;
mod checkpoint;
mod clip;
mod config;
mod features;
mod model;
mod positions;
mod presets;
mod quantizer;
mod scales;
mod semantic;
mod semantic_decoder;
mod sizes;
mod task;
mod tokenizer;
mod train;

pub use checkpoint::{USAGE, codes, listing, load, random, random_narrow, save};
pub use clip::ClipVision;
pub use config::TokenFlowConfig;
pub use features::VisualFeatures;
pub use model::TokenFlowNetwork;
pub use presets::PRESETS;
pub use quantizer::{MultiScale, ScaleStep, SharedCodes, SharedQuantizer};
pub use scales::Scales;
pub use semantic::SemanticBranch;
pub use semantic_decoder::SemanticDecoder;
pub use sizes::{ClipSizes, SemanticDecoderSizes, SemanticEncoder, SiglipSizes, Teacher};
pub use tokenizer::TokenFlow;
pub use train::{DistanceStatistics, TokenFlowLosses, losses, semantic_loss, statistics};
