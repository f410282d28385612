//! Multi-head self-attention over a whole sequence.

use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Tensor, module};

/// Splits a packed projection `[batch, length, 3 * width]` (queries, keys, values; heads side by side inside
/// each) and attends: returns `[batch, length, width]`. No mask; scale `1 / sqrt(width / heads)`.
///
/// # Panics
/// If `heads` does not divide the width: a shape error, as in any tensor operation.
pub fn packed_self_attention(qkv: Tensor<3>, heads: usize) -> Tensor<3> {
    let [batch, length, packed] = qkv.dims();
    let width = packed / 3;
    let parts = qkv.reshape([batch, length, 3, heads, width / heads]).permute([2, 0, 3, 1, 4]);
    let part = |index: usize| -> Tensor<4> { parts.clone().slice([index..index + 1]).squeeze_dim(0) };
    let attended = module::attention(part(0), part(1), part(2), None, None, AttentionModuleOptions::default());
    attended.swap_dims(1, 2).reshape([batch, length, width])
}
