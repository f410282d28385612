//! LlamaGen's VQ tokenizer: a convolutional autoencoder with a small, l2-normalised codebook.
//!
//! ```text
//! image [b, 3, H, W] ─encoder, quant_conv─▶ [b, 8, H/f, W/f] ─nearest code on the sphere─▶ codes ─post_quant_conv, decoder─▶ image
//! ```
//!
//! Behind the released next-token generators of LlamaGen, and NAR's. Source: Sun et al. 2024 (arXiv 2406.06525) and its released
//! code, VQ-16 and VQ-8.

mod checkpoint;
mod config;
mod model;
mod train;

pub(crate) use checkpoint::STATISTICS;
pub use checkpoint::{listing, load, random};
pub use config::{LlamaGenVqConfig, PRESETS};
pub use model::LlamaGenVqNetwork;
pub use train::{VqLosses, entropy_loss, vq_losses};

/// A LlamaGen VQ ready for use: pictures of any size that its patch divides.
pub type LlamaGenVq = crate::grid::GridTokenizer<LlamaGenVqNetwork>;
