//! What a teacher-forced pass comes to.

use burn::tensor::{Int, Tensor};
use rand::Rng;
use tessera_layers::Trace;

use super::{ScaleNetwork, ScalePrompt};
use crate::token_losses;

/// Losses of a batch, in nats.
#[derive(Debug, Clone)]
pub struct ScaleLosses {
    /// Mean cross-entropy of all tokens, `[1]`: what is minimised.
    pub loss: Tensor<1>,
    /// Mean cross-entropy of the tokens of each scale, `[scales]`.
    pub by_scale: Tensor<1>,
    /// Mean squared logarithm of the softmax's sum, `[1]`.
    pub z_loss: Tensor<1>,
    /// `[rows, tokens, codes]`
    pub logits: Tensor<3>,
}

/// Runs the network on tokens `[rows, tokens]`, coarse to fine; `smoothing` is the share of label smoothing. Reports what
/// [`ScaleNetwork::teach`] does to `trace`.
pub fn taught(
    network: &ScaleNetwork,
    ids: Tensor<2, Int>,
    prompt: &ScalePrompt,
    smoothing: f64,
    trace: &mut Trace,
) -> ScaleLosses {
    let logits = network.teach(ids.clone(), prompt, trace);
    let losses = token_losses(logits.clone(), ids, smoothing);
    let of_scale =
        |range: std::ops::Range<usize>| losses.cross_entropy.clone().narrow(1, range.start, range.len()).mean();
    let by_scale = network.quantizer().ranges().into_iter().map(of_scale).collect();
    ScaleLosses {
        loss: losses.cross_entropy.clone().mean(),
        by_scale: Tensor::cat(by_scale, 0),
        z_loss: losses.squared_normaliser.mean(),
        logits,
    }
}

/// Leaves out the conditions of rows with a chance of `share`.
pub fn drop_conditions(prompt: &ScalePrompt, share: f32, rng: &mut impl Rng) -> ScalePrompt {
    prompt.without(|_| rng.random::<f32>() < share)
}
