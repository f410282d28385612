//! CPU twins of the kernels: plain slices in, plain vectors out, rayon over rows.

pub mod group_norm_silu;
pub mod nearest_code;
pub mod patchify;
