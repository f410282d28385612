//! Multi-head self-attention over a whole sequence.

use burn::tensor::Tensor;
use tessera_shaders::packed_attention;

/// Splits a packed projection `[batch, length, 3 * width]` (queries, keys, values; heads side by side inside
/// each) and attends: returns `[batch, length, width]`. No mask; scale `1 / sqrt(width / heads)`.
///
/// # Panics
/// If `heads` does not divide the width: a shape error, as in any tensor operation.
pub fn packed_self_attention(qkv: Tensor<3>, heads: usize) -> Tensor<3> {
    packed_attention(qkv, heads)
}
