//! Quantizers: continuous latents to indices and back. Their arithmetic is always f32.

mod vector;

pub use vector::{Quantized, VectorQuantizer, l2_normalise};
