//! Residual quantization over growing scales: each scale says, in more tokens than the one before, what the scales so far leave
//! unsaid.
//!
//! ```text
//! rest = z, sum = 0; for each scale s of l tokens:
//!     rest ─Down─▶ [l, d] ─nearest code─▶ ids ─codes─▶ [l, d] ─Up─▶ [L, d] ─Phi─▶ h;   sum += h, rest -= h
//! ```
//!
//! One codebook serves all scales. The running sum after any scale is a coarser version of the whole.
//!
//! Sources: Tian et al. 2024, "Visual Autoregressive Modeling" (arXiv 2404.02905) and its released quantizer, for square grids;
//! Zhang, Xiong and Xu 2024 (arXiv 2412.02202) for sets of tokens without a geometry.

mod config;
mod phi;
mod quantizer;
mod resample;

pub use config::{Resample, ScaleQuantizerConfig};
pub use phi::phi_index;
pub use quantizer::{ScaleCodes, ScaleNames, ScaleQuantizer};
pub use resample::{down_matrix, up_matrix};
