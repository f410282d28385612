//! Quantizers: continuous latents to indices and back. Their arithmetic is always f32.

mod fsq;
pub mod scales;
mod vector;

pub use fsq::FiniteScalarQuantizer;
pub use scales::{ScaleCodes, ScaleQuantizer, ScaleQuantizerConfig};
pub use vector::{Quantized, VectorQuantizer, l2_normalise};
