//! DualToken: one SigLIP 2, two vocabularies. What lies in its early layers becomes pixel codes, what lies in its late layers
//! semantic codes.
//!
//! ```text
//!                after block 4 ──prequant_shortcut─┐ x 0.6
//! image ─SigLIP─ after block 6 ──prequant_pix──────┴─▶ residual codes ─postquant_pix─▶ decoder ─▶ image
//!                after block 26 ─prequant_sem────────▶ residual codes ─postquant_sem─▶ block 27 ─▶ pooled features
//! ```
//!
//! A token is a position of the grid with several codes: first the pixel codes, then the semantic ones, each depth coding what
//! those before it left over. Pictures are decoded from the pixel codes alone; an understanding model reads both
//! ([`DualToken::embeddings_by_depth`]).
//!
//! Source: Song et al. 2025 (arXiv 2503.14324) and its released code. No weights were released; names and shapes are those of
//! the released code.

mod attention_projection;
mod checkpoint;
mod config;
mod model;
mod presets;
mod siglip_sizes;
mod tokenizer;
mod train;
mod vq;

pub use attention_projection::AttentionProjection;
pub use checkpoint::{current_name, listing, load, random, random_narrow, save};
pub use config::{DecoderSizes, DualTokenConfig, RqVaeConfig};
pub use model::{DualLatents, DualTokenNetwork, SemanticFeatures};
pub use presets::PRESETS;
pub use siglip_sizes::{SiglipConfig, TextConfig, VisionConfig};
pub use tokenizer::DualToken;
pub use train::{DualTokenLosses, DualTokenTerms, SemanticLosses, losses, semantic_losses};
pub use vq::{Bottleneck, Many, VqConfig};
