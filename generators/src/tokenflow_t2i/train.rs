//! Losses.

use burn::tensor::{Int, Tensor};
use tessera_layers::Trace;
use tessera_tokenizers::tokenflow::{Scales, SharedCodes};

use super::{T2iPrompt, TokenFlowT2iConfig, TokenFlowT2iNetwork};
use crate::token_losses;

/// What teacher-forced pictures come to.
#[derive(Debug, Clone)]
pub struct Taught {
    /// Mean over rows of each token's cross-entropy among all ids, `[tokens]`, in nats; its mean is the released loss.
    pub cross_entropy: Tensor<1>,
    /// Mean z-loss.
    pub z_loss: Tensor<1>,
}

/// Losses of pictures `ids [rows, tokens]` behind prompts. The released training drops one prompt in ten for the negative one.
pub fn losses(
    network: &TokenFlowT2iNetwork,
    config: &TokenFlowT2iConfig,
    codes: &SharedCodes,
    scales: &Scales,
    prompt: &T2iPrompt,
    ids: Tensor<2, Int>,
) -> Taught {
    let [rows, tokens] = ids.dims();
    let states = network.teach(&prompt.unguided(), codes, scales, ids.clone(), &mut Trace::none());
    let logits = network.logits(states.narrow(1, prompt.length() - 1, tokens));
    let targets = ids.add_scalar(i64::try_from(config.image_token_start()).unwrap_or(0));
    let losses = token_losses(logits, targets, 0.0);
    Taught {
        cross_entropy: losses.cross_entropy.sum_dim(0).div_scalar(rows.max(1) as f64).reshape([tokens]),
        z_loss: losses.squared_normaliser.mean(),
    }
}
