//! Quantizers: continuous latents to indices and back. Their arithmetic is always f32.

mod fsq;
mod vector;

pub use fsq::FiniteScalarQuantizer;
pub use vector::{Quantized, VectorQuantizer, l2_normalise};
