//! MaskGIT-VQGAN: the convolutional autoencoder (f16, 1,024 codes) behind One-D-Piece and TiTok.
//!
//! Its encoder and codebook give the targets of their first training stage; its decoder, fed with soft codes, is
//! their pixel decoder. Released as `maskgit-vqgan-imagenet-f16-256.bin`; no attention anywhere.
//!
//! ```text
//! image [b, 3, H, W] ─encoder─▶ [b, z, H/16, W/16] ─nearest code─▶ codes ─codebook─▶ ─decoder─▶ image
//! ```
//!
//! Two quirks of the released networks are kept: where a residual block changes its width, the shortcut is taken
//! of the block's *output* and the input is dropped; and normalisation epsilon is 1e-6.

mod checkpoint;
mod config;
mod decoder;
mod encoder;
mod model;
mod res_block;

pub use checkpoint::{listing, load, random};
pub use config::{MaskGitVqganConfig, PRESET, VqganConfig};
pub use decoder::VqganDecoder;
pub use encoder::VqganEncoder;
pub use model::VqganNetwork;
pub use res_block::ResBlock;

/// A MaskGIT-VQGAN ready for use: pictures of any size that its patch divides.
pub type MaskGitVqgan = crate::grid::GridTokenizer<VqganNetwork>;
