//! The masked-token loss.

use burn::tensor::{Bool, Int, Tensor, activation};

/// Loss and accuracy of one batch.
#[derive(Debug, Clone)]
pub struct MaskedLoss {
    /// Label-smoothed cross-entropy, weight 1 on masked and `unmasked_weight` on visible positions.
    pub loss: Tensor<1>,
    /// Share of masked positions whose most likely code is the target.
    pub correct_tokens: Tensor<1>,
}

/// Source: MaskGIT section 3.2 with the weights of the 1d-tokenizer recipe (smoothing 0.1, unmasked 0.1).
///
/// - `logits`: `[batch, positions, codes]`
/// - `targets`: `[batch, positions]`
/// - `mask`: `[batch, positions]`, true where the model saw a mask token
pub fn masked_loss(
    logits: Tensor<3>,
    targets: Tensor<2, Int>,
    mask: Tensor<2, Bool>,
    label_smoothing: f64,
    unmasked_weight: f64,
) -> MaskedLoss {
    let [batch, positions, _] = logits.dims();
    let log = activation::log_softmax(logits.clone(), 2);
    let target = log.clone().gather(2, targets.clone().reshape([batch, positions, 1]));
    let uniform = log.mean_dim(2);
    let smoothed = target.mul_scalar(1.0 - label_smoothing) + uniform.mul_scalar(label_smoothing);
    let cross_entropy = smoothed.neg().reshape([batch, positions]);

    let masked = mask.float();
    let weights = masked.clone().mul_scalar(1.0 - unmasked_weight).add_scalar(unmasked_weight);
    let loss = (cross_entropy * weights.clone()).sum() / weights.sum().add_scalar(1e-8);

    let best = logits.argmax(2).reshape([batch, positions]);
    let right = best.equal(targets).float() * masked.clone();
    MaskedLoss { loss, correct_tokens: right.sum() / masked.sum().add_scalar(1e-8) }
}
