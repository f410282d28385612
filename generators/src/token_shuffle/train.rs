//! What a teacher-forced pass comes to.

use burn::tensor::{Int, Tensor};
use tessera_layers::Trace;

use super::{TokenShuffleConfig, TokenShuffleNetwork, Windows};
use crate::kept::index;
use crate::token_losses;

/// Outputs of a teacher-forced pass.
#[derive(Debug, Clone)]
pub struct Taught {
    /// `[bos, text, boi, windows]` as the trunk reads it, `[rows, positions, width]`.
    pub input: Tensor<3>,
    /// Image ids, window after window, `[rows, windows * size]`.
    pub groups: Tensor<2, Int>,
    /// Logits of text positions, `[rows, text + 1, all ids]`.
    pub text: Tensor<3>,
    /// Logits of the windows' tokens, `[rows, windows * size, all ids]`.
    pub image: Tensor<3>,
    /// Logits behind the last window, `[rows, all ids]`.
    pub end: Tensor<2>,
}

/// Means over a batch of the losses of [`Taught`] outputs.
#[derive(Debug, Clone)]
pub struct TaughtLosses {
    /// Cross-entropy of image tokens by window, `[windows]`, in nats; its mean is the image loss.
    pub by_window: Tensor<1>,
    /// Cross-entropy of text ids and of the id behind which the picture starts, `[1]`.
    pub text: Tensor<1>,
    /// Cross-entropy of the id behind the picture, `[1]`; not part of the loss.
    pub end: Tensor<1>,
    /// Mean squared logarithm of the softmax's sum over image tokens, `[1]`.
    pub z_loss: Tensor<1>,
}

/// Runs the network on text ids `[rows, text]` and codes `[rows, tokens]` in the layout's order.
pub fn teach(
    network: &TokenShuffleNetwork,
    config: &TokenShuffleConfig,
    windows: &Windows,
    text: Tensor<2, Int>,
    codes: Tensor<2, Int>,
    trace: &mut Trace,
) -> Taught {
    let ([rows, words], device) = (text.dims(), network.device());
    let special = |id: u32| Tensor::<2, Int>::full([rows, 1], i64::from(id), &device);
    let prompt = match words {
        0 => vec![special(config.bos_id), special(config.boi_id)],
        _ => vec![special(config.bos_id), text, special(config.boi_id)],
    };
    let groups = codes.select(1, index(windows.positions().iter().copied(), &device));
    let ids = groups.clone() + i64::try_from(config.text_vocab).unwrap_or(0);
    let fused = network.shuffle(ids, &mut trace.at("shuffle"));
    let input = Tensor::cat(vec![network.embed(Tensor::cat(prompt, 1)), fused], 1);
    let [_, positions, _] = input.dims();
    let states = network.forward(input.clone(), (0, &network.rotary(positions)), None, None, trace);
    let all = windows.count();
    let image = network.unshuffle(states.clone().narrow(1, words + 1, all), &mut trace.at("unshuffle"));
    let end = network.text(states.clone().narrow(1, positions - 1, 1));
    let [_, _, codes] = end.dims();
    Taught { input, groups, text: network.text(states.narrow(1, 0, words + 1)), image, end: end.reshape([rows, codes]) }
}

/// The losses of outputs whose text was `text [rows, text]`; `smoothing` is the share of label smoothing of image tokens.
pub fn losses(
    taught: &Taught,
    config: &TokenShuffleConfig,
    windows: &Windows,
    text: Tensor<2, Int>,
    smoothing: f64,
) -> TaughtLosses {
    let ([rows, words], device) = (text.dims(), text.device());
    let special = |id: u32| Tensor::<2, Int>::full([rows, 1], i64::from(id), &device);
    let targets = match words {
        0 => special(config.boi_id),
        _ => Tensor::cat(vec![text, special(config.boi_id)], 1),
    };
    let image = taught.groups.clone() + i64::try_from(config.text_vocab).unwrap_or(0);
    let image = token_losses(taught.image.clone(), image, smoothing);
    let (count, size) = (windows.count(), windows.size());
    let by_window = image.cross_entropy.reshape([rows, count, size]).mean_dim(2).mean_dim(0).reshape([count]);
    let end = taught.end.clone().unsqueeze_dim::<3>(1);
    TaughtLosses {
        by_window,
        text: token_losses(taught.text.clone(), targets, 0.0).cross_entropy.mean(),
        end: token_losses(end, special(config.eoi_id), 0.0).cross_entropy.mean(),
        z_loss: image.squared_normaliser.mean(),
    }
}
