//! SigLIP's towers: pictures and texts as sequences of vectors, and as one vector each.
//!
//! ```text
//! image [b, 3, H, W] ─patches, positions─▶ blocks ─post_layernorm─▶ [b, g g, width] ─attention pooling─▶ [b, width]
//! ids [b, n] ─tokens, positions─▶ blocks ─final_layer_norm, last position, head─▶ [b, width]
//! ```
//!
//! Names and shapes are those of `transformers` (`SiglipModel`), fixed resolutions. Source: Zhai et al. 2023 (arXiv 2303.15343)
//! and Tschannen et al. 2025 (arXiv 2502.14786).

mod block;
mod pooling;
mod text;
mod vision;

pub use block::SiglipBlock;
pub use pooling::AttentionPooling;
pub use text::{SiglipText, TextSizes};
pub use vision::{SiglipVision, VisionSizes};
