//! Losses of predicted tokens.

use burn::tensor::{Int, Tensor, activation};

/// What teacher-forced logits come to, before any mean.
#[derive(Debug, Clone)]
pub struct TokenLosses {
    /// Cross-entropy `[rows, tokens]`, in nats.
    pub cross_entropy: Tensor<2>,
    /// Squared logarithm of the softmax's sum `[rows, tokens]`: its mean is the z-loss, which keeps logits from drifting (Chowdhery
    /// et al. 2022, "PaLM", section 5).
    pub squared_normaliser: Tensor<2>,
}

/// Losses of logits `[rows, tokens, codes]` for targets `[rows, tokens]`. A share `smoothing` (0..1) of each target's probability is
/// spread evenly over all codes (label smoothing).
pub fn token_losses(logits: Tensor<3>, targets: Tensor<2, Int>, smoothing: f64) -> TokenLosses {
    let [rows, tokens, _] = logits.dims();
    let normal = activation::log_softmax(logits.clone(), 2);
    let index = targets.reshape([rows, tokens, 1]);
    let picked = normal.clone().gather(2, index.clone());
    // log softmax = logit - log of the sum.
    let normaliser = (logits.gather(2, index) - picked.clone()).reshape([rows, tokens]);
    let mut likelihood = picked.reshape([rows, tokens]);
    if smoothing > 0.0 {
        let even = normal.mean_dim(2).reshape([rows, tokens]);
        likelihood = likelihood.mul_scalar(1.0 - smoothing) + even.mul_scalar(smoothing);
    }
    TokenLosses { cross_entropy: likelihood.neg(), squared_normaliser: normaliser.clone() * normaliser }
}
