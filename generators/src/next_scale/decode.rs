//! The loop over scales.

use std::ops::ControlFlow;

use burn::tensor::{Device, Int, Tensor};

use crate::kept::{Kept, known};
use crate::{GeneratorError, GuidanceSchedule, Step};

/// A network that predicts all tokens of a scale at once.
pub trait NextScale {
    /// What a sequence starts from.
    type Prompt;
    /// What is known of the sequences so far.
    type State;

    /// Tokens of each scale, coarse to fine.
    fn counts(&self) -> &[usize];

    /// The device that it runs on.
    fn device(&self) -> Device;

    /// The state before the first scale.
    fn begin(&self, prompt: &Self::Prompt) -> Self::State;

    /// Logits `[rows, tokens, codes]` of scale `scale`, after `last [rows, tokens]`, the ids of the scale before it (`None` at the
    /// first), was added to the state.
    fn advance(&self, state: &mut Self::State, scale: usize, last: Option<Tensor<2, Int>>) -> Tensor<3>;
}

/// How sequences are decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScalePlan {
    /// Sequences.
    pub rows: usize,
    /// Whether as many unconditional sequences stand behind them in the prompt.
    pub is_guided: bool,
    /// Guidance of the last scale: logits are `u + scale (c - u)`.
    pub scale: f32,
    /// How guidance gets there.
    pub schedule: GuidanceSchedule,
    /// Scales after which the conditional logits are taken as they are.
    pub interval: Option<usize>,
    /// Scales to decode.
    pub scales: usize,
}

/// Picks ids `[n]` of conditional and unconditional logits `[n, codes]`, the scale of guidance, and the index of the scale.
pub type Choose<'a> = dyn FnMut(Tensor<2>, Option<Tensor<2>>, f32, usize) -> Tensor<1, Int> + 'a;

/// Decodes `plan.scales` scales of `plan.rows` sequences, ids `[rows, tokens]`.
///
/// # Errors
/// [`GeneratorError::Stopped`] if `on_step` stopped.
pub fn decode<N: NextScale>(
    network: &N,
    prompt: &N::Prompt,
    plan: &ScalePlan,
    choose: &mut Choose<'_>,
    on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
) -> Result<Tensor<2, Int>, GeneratorError> {
    decode_given(network, prompt, plan, None, choose, on_step)
}

/// [`decode`] where some tokens stay.
pub(super) fn decode_given<N: NextScale>(
    network: &N,
    prompt: &N::Prompt,
    plan: &ScalePlan,
    kept: Option<&Kept>,
    choose: &mut Choose<'_>,
    on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
) -> Result<Tensor<2, Int>, GeneratorError> {
    let (rows, counts) = (plan.rows, network.counts());
    let positions: Vec<usize> = (0..counts.iter().sum()).collect();
    let most = plan.scales.min(counts.len());
    let mut state = network.begin(prompt);
    let mut found: Vec<Tensor<2, Int>> = Vec::new();
    let mut from = 0;
    for scale in 0..most {
        let last = found.last().map(|ids| if plan.is_guided { ids.clone().repeat_dim(0, 2) } else { ids.clone() });
        let logits = network.advance(&mut state, scale, last);
        let [all, count, codes] = logits.dims();
        let (logits, half) = (logits.reshape([all * count, codes]), rows * count);
        let (conditional, unconditional) = match plan.is_guided {
            true => (logits.clone().narrow(0, 0, half), Some(logits.narrow(0, half, half))),
            false => (logits, None),
        };
        let strength = match plan.interval {
            Some(interval) if scale > interval => 1.0,
            _ => plan.schedule.scale(f64::from(plan.scale), scale, counts.len()) as f32,
        };
        let ids = choose(conditional, unconditional, strength, scale).reshape([rows, count]);
        let ids = kept.map_or(ids.clone(), |kept| kept.put(ids, from));
        from += count;
        found.push(ids);
        let so_far = || known(&found, &positions);
        if on_step(&Step::of_ids(scale, most, &so_far)).is_break() {
            return Err(GeneratorError::Stopped(scale));
        }
    }
    Ok(match found.is_empty() {
        true => Tensor::zeros([rows, 0], &network.device()),
        false => Tensor::cat(found, 1),
    })
}
