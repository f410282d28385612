//! MaskGIT: class-conditional generation by filling in masked tokens in parallel, most confident first.
//!
//! Source: Chang et al. 2022, "MaskGIT: Masked Generative Image Transformer"; the networks and settings released with
//! One-D-Piece and TiTok: a BERT-style encoder ([`MaskGitConfig::model_type`] `ViT`, "ImageBert") and a U-shaped ViT
//! (`UViT`, TiTok-S-128).
//!
//! ```text
//! [class | masks ...] ─▶ transformer ─▶ logits ─▶ candidates + confidence ─▶ keep the most confident ─▶ again
//! ```

mod bert;
mod config;
mod loss;
mod model;
mod presets;
mod sampling;
mod uvit;

pub use config::{GuidanceDecay, MaskGitConfig, ModelType, SamplingConfig};
pub use loss::{MaskedLoss, masked_loss};
pub use model::{MaskGit, MaskGitNetwork, listing, load, random};
pub use presets::PRESETS;
pub use sampling::{Draws, RandomDraws, sample};
