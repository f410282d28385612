//! CPU twins of the kernels: plain slices in, plain vectors out, rayon over rows.

pub mod attention;
pub mod conv3x3;
pub mod conv_weight_gradient;
pub mod euler_step;
mod few_rows;
pub mod fsq;
pub mod gated_add;
pub mod gelu;
pub mod group_norm_silu;
pub mod group_norm_silu_backward;
pub mod inverted_residual;
pub mod layer_norm;
pub mod linear;
pub mod modulated_norm;
pub mod modulation;
pub mod nearest_code;
pub mod norm;
mod output;
pub mod patchify;
mod product;
pub mod rotary;
pub mod sample_logits;
mod scratch;
mod simd;
pub mod swiglu;
pub mod triplane_sample;
