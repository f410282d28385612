//! Channel vectors of length one.

use burn::tensor::Tensor;

/// Added to a length before it divides (LPIPS).
const EPSILON: f32 = 1e-10;
/// The smallest square of a length: below it a root has no gradient worth having.
const SMALLEST: f32 = 1e-20;

/// Every pixel's channel vector divided by its length + 1e-10: `[batch, channels, h, w]`.
pub(super) fn unit(x: Tensor<4>) -> Tensor<4> {
    let length = x.clone().square().sum_dim(1).clamp_min(SMALLEST).sqrt() + EPSILON;
    x / length
}
