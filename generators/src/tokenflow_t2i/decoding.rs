//! Decoding scale by scale, each several times if asked for.

use std::ops::ControlFlow;

use burn::tensor::{Int, Tensor};
use tessera_shaders::AttentionMask;
use tessera_tokenizers::tokenflow::{Scales, SharedCodes, VisualFeatures};

use super::{Past, Segment, T2iPrompt, TokenFlowT2iNetwork};
use crate::kept::{Kept, known};
use crate::sampling::{draw, guided};
use crate::{GeneratorError, GuidanceSchedule, Sampling, Step};

/// How a picture is decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct T2iPlan {
    /// Scale of guidance at the last scale; up to 1 there is none.
    pub scale: f32,
    /// How it moves from scale to scale.
    pub schedule: GuidanceSchedule,
    /// Scales after which guidance is switched off.
    pub interval: Option<usize>,
    /// How each step of a scale draws; the first scale has the first step alone.
    pub steps: Vec<Sampling>,
    /// Seed of the draws.
    pub seed: u64,
    /// Scales to decode, from the first on.
    pub scales: usize,
}

/// Codes and the logits that led to them.
#[derive(Debug, Clone)]
pub struct Greedy {
    /// `[rows, tokens]`.
    pub ids: Tensor<2, Int>,
    /// Logits of the codes after guidance, of each run of the model, `[rows, side^2, codes]`.
    pub logits: Vec<Tensor<3>>,
}

/// Codes of rows of logits, from conditional and unconditional ones, their scale, the step of the strategy and the run.
type Choose<'a> = &'a mut dyn FnMut(Tensor<2>, Option<Tensor<2>>, f32, usize, usize) -> Tensor<1, Int>;

/// What decoding needs beside the plan.
pub(super) struct Source<'a> {
    pub network: &'a TokenFlowT2iNetwork,
    pub codes: &'a SharedCodes,
    pub scales: &'a Scales,
}

impl T2iPlan {
    /// Runs of the model in all.
    pub fn runs(&self) -> usize {
        1 + self.scales.saturating_sub(1) * self.steps.len().max(1)
    }
}

impl Source<'_> {
    /// Codes `[rows, tokens]` drawn by the plan.
    pub(super) fn sample(
        &self,
        prompt: &T2iPrompt,
        plan: &T2iPlan,
        kept: Option<&Kept>,
        on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
    ) -> Result<Tensor<2, Int>, GeneratorError> {
        let mut choose = |conditional, unconditional, scale, step: usize, run: usize| {
            let sampling = plan.steps.get(step).copied().unwrap_or_default();
            draw(conditional, unconditional, scale, sampling, plan.seed, run as u64)
        };
        self.decode(prompt, plan, kept, &mut choose, on_step)
    }

    /// The most likely codes at every step.
    pub(super) fn greedy(&self, prompt: &T2iPrompt, plan: &T2iPlan) -> Result<Greedy, GeneratorError> {
        let (mut all, rows) = (Vec::new(), prompt.rows());
        let mut choose = |conditional, unconditional, scale, _, _| {
            let logits = guided(conditional, unconditional, scale);
            let [count, codes] = logits.dims();
            all.push(logits.clone().reshape([rows, count / rows, codes]));
            logits.argmax(1).flatten(0, 1)
        };
        let ids = self.decode(prompt, plan, None, &mut choose, &mut |_| ControlFlow::Continue(()))?;
        Ok(Greedy { ids, logits: all })
    }

    fn decode(
        &self,
        prompt: &T2iPrompt,
        plan: &T2iPlan,
        kept: Option<&Kept>,
        choose: Choose<'_>,
        on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
    ) -> Result<Tensor<2, Int>, GeneratorError> {
        let (network, rows, is_guided) = (self.network, prompt.rows(), plan.scale > 1.0 && prompt.is_guided());
        let prompt = if is_guided { prompt.clone() } else { prompt.unguided() };
        let (device, length, ranges) = (network.device(), prompt.length(), self.scales.ranges());
        let most = length + self.scales.tokens().saturating_sub(1);
        let (rotary, padding) = (network.rotary(most), prompt.padding(&device));
        let mut caches = network.caches(prompt.all_rows(), most);
        let mut features = VisualFeatures::new(self.codes.clone(), self.scales.clone(), rows);
        let positions: Vec<usize> = (0..self.scales.tokens()).collect();
        let mut found: Vec<Tensor<2, Int>> = Vec::new();
        let both = |x: Tensor<3>| if is_guided { Tensor::cat(vec![x.clone(), x], 0) } else { x };
        let mut run = 0;
        for (scale, range) in ranges.into_iter().enumerate().take(plan.scales) {
            let steps = if scale == 0 { 1 } else { plan.steps.len().max(1) };
            let before = if scale == 0 { 0 } else { length + range.start - 1 };
            for step in 0..steps {
                // Later scales read this one's features without its own codes: those of the first step, which are kept.
                let past = match step {
                    0 => Past::Kept(&mut caches),
                    _ => Past::Beside(&caches, before),
                };
                let (x, mask) = match (scale, found.get(scale)) {
                    (0, _) => (network.embed_prompt(prompt.upload(&device)), AttentionMask::Causal),
                    (_, None) => {
                        (network.embed_features(both(features.features()), scale, range.clone()), AttentionMask::Full)
                    }
                    (_, Some(ids)) => (
                        network.embed_features(both(features.refined(ids.clone())), scale, range.clone()),
                        AttentionMask::Full,
                    ),
                };
                let [_, count, _] = x.dims();
                let states = network.forward(x, &rotary, &[Segment { count, mask }], padding.as_ref(), past);
                let states = states.narrow(1, count - range.len(), range.len());
                let logits = network.code_logits(states);
                let [all, side, codes] = logits.dims();
                let logits = logits.reshape([all * side, codes]);
                let half = rows * side;
                let (conditional, unconditional) = match is_guided {
                    true => (logits.clone().narrow(0, 0, half), Some(logits.narrow(0, half, half))),
                    false => (logits, None),
                };
                let strength = match plan.interval.is_some_and(|interval| scale > interval) {
                    true => 1.0,
                    false => plan.schedule.scale(f64::from(plan.scale), scale, self.scales.sides().len()) as f32,
                };
                let ids = choose(conditional, unconditional, strength, step, run).reshape([rows, side]);
                let ids = kept.map_or(ids.clone(), |kept| kept.put(ids, range.start));
                found.truncate(scale);
                found.push(ids);
                let so_far = || known(&found, &positions);
                if on_step(&Step::of_ids(run, plan.runs(), &so_far)).is_break() {
                    return Err(GeneratorError::Stopped(run));
                }
                run += 1;
            }
            if let Some(ids) = found.last() {
                features.advance(ids.clone());
            }
        }
        Ok(Tensor::cat(found, 1))
    }
}
