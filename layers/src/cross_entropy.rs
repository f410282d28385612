//! Cross-entropy of predicted codes.

use burn::tensor::{Int, Tensor, activation};

/// Mean over all positions of `-log softmax(logits)[target]`: `[batch, positions, codes]`, `[batch, positions]`.
pub fn cross_entropy(logits: Tensor<3>, targets: Tensor<2, Int>) -> Tensor<1> {
    let [batch, positions] = targets.dims();
    activation::log_softmax(logits, 2).gather(2, targets.reshape([batch, positions, 1])).mean().neg()
}
