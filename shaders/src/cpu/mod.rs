//! CPU twins of the kernels: plain slices in, plain vectors out, rayon over rows.

pub mod attention;
pub mod conv3x3;
pub mod gelu;
pub mod group_norm_silu;
pub mod inverted_residual;
pub mod layer_norm;
pub mod linear;
pub mod nearest_code;
mod output;
pub mod patchify;
mod product;
mod scratch;
mod simd;
