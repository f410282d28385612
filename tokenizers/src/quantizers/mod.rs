//! Quantizers: continuous latents to indices and back. Their arithmetic is always f32.

mod entropy;
mod fsq;
mod residual;
mod residual_update;
mod restarts;
pub mod scales;
mod vector;

pub use entropy::{assignment_entropy, squared_distances};
pub use fsq::FiniteScalarQuantizer;
pub use residual::{ResidualQuantized, ResidualQuantizer, ResidualSizes};
pub use residual_update::{ResidualUpdate, Restart, UpdateForm};
pub(crate) use restarts::replace_rows;
pub use restarts::{CodeCounts, MovableCodes, move_codes, perplexity};
pub use scales::{ScaleCodes, ScaleQuantizer, ScaleQuantizerConfig};
pub use vector::{Quantized, VectorQuantizer, l2_normalise};
