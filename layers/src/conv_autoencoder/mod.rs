//! Convolutional encoder and decoder with one attention layer in the middle: the networks behind the KL autoencoders of
//! latent diffusion and behind most vector-quantised tokenizers.
//!
//! ```text
//! [b, 3, H, W] ─conv─▶ levels: residual blocks, then halve ─▶ middle: block, attention, block ─▶ norm, SiLU, conv ─▶ [b, z, H/f, W/f]
//! [b, z, h, w] ─conv─▶ middle: block, attention, block ─▶ levels: residual blocks, then double ─▶ norm, SiLU, conv ─▶ [b, 3, h f, w f]
//! ```
//!
//! Families differ in the names of their tensors ([`ConvNames`]), in widths and in which levels have attention
//! ([`ConvSizes`]); what stands between encoder and decoder is theirs.
//!
//! Source: Esser et al. 2021, "Taming Transformers", and Rombach et al. 2022, "High-Resolution Image Synthesis with Latent
//! Diffusion Models".

mod attention;
mod decoder;
mod encoder;
mod level;
mod middle;
mod names;
mod residual;
mod sizes;

pub use attention::SpatialAttention;
pub use decoder::ConvDecoder;
pub use encoder::ConvEncoder;
pub use names::{AttentionNames, ConvNames, LevelNames};
pub use residual::ResidualBlock;
pub use sizes::ConvSizes;

/// Epsilon of every group normalisation, in all families.
pub const GROUP_EPSILON: f64 = 1e-6;
