//! What a teacher-forced pass comes to.

use burn::tensor::{Int, Tensor};
use tessera_layers::Trace;

use super::{Decoder, Prompt};
use crate::token_losses;

/// Means over a batch of the losses of a teacher-forced pass.
#[derive(Debug, Clone)]
pub struct Taught {
    /// Cross-entropy of each token in the order of decoding, `[tokens]`, in nats. Its mean is the loss of LlamaGen and NAR.
    pub cross_entropy: Tensor<1>,
    /// Mean squared logarithm of the softmax's sum, `[1]`.
    pub z_loss: Tensor<1>,
}

/// Runs the network on tokens `read` `[rows, tokens]` in the layout's order, which are usually `ids`, those that it has to predict;
/// `smoothing` is the share of label smoothing. Leaving out conditions by chance, and putting wrong tokens in, is the caller's part.
pub fn taught(network: &Decoder, read: Tensor<2, Int>, ids: Tensor<2, Int>, prompt: &Prompt, smoothing: f64) -> Taught {
    let [rows, tokens] = ids.dims();
    let states = network.teach(read, prompt, &mut Trace::none());
    let logits = network.logits(&states, 0..tokens);
    let losses = token_losses(logits, network.in_order(ids), smoothing);
    Taught {
        cross_entropy: losses.cross_entropy.sum_dim(0).div_scalar(rows.max(1) as f64).reshape([tokens]),
        z_loss: losses.squared_normaliser.mean(),
    }
}
