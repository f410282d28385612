//! Multi-head self-attention over a whole sequence.

use burn::tensor::Tensor;
use tessera_shaders::{AttentionMask, Kernel, KernelState, kernel_status, masked_attention, packed_attention};

/// Positions from which on a GPU takes the kernel that stores no matrix of scores: that of 4096 positions has 64 MiB for each
/// head.
const LONG: usize = 4096;

/// Splits a packed projection `[batch, length, 3 * width]` (queries, keys, values; heads side by side inside
/// each) and attends: returns `[batch, length, width]`. No mask; scale `1 / sqrt(width / heads)`.
///
/// # Panics
/// If `heads` does not divide the width: a shape error, as in any tensor operation.
pub fn packed_self_attention(qkv: Tensor<3>, heads: usize) -> Tensor<3> {
    let [_, length, _] = qkv.dims();
    let is_long = length >= LONG && kernel_status(Kernel::MaskedAttention, &qkv.device()) == KernelState::Wgsl;
    if is_long { first_self_attention(qkv, heads, length) } else { packed_attention(qkv, heads) }
}

/// [`packed_self_attention`] of the first `count` positions, which attend to all: `[batch, count, width]`.
///
/// # Panics
/// As [`packed_self_attention`], or if there are fewer positions.
pub fn first_self_attention(qkv: Tensor<3>, heads: usize, count: usize) -> Tensor<3> {
    let [_, _, packed] = qkv.dims();
    let width = packed / 3;
    let part = |index: usize| qkv.clone().narrow(2, index * width, width);
    let scale = 1.0 / (width as f32 / heads.max(1) as f32).sqrt();
    masked_attention(part(0).narrow(1, 0, count), part(1), part(2), heads, scale, AttentionMask::Full)
}
