//! Decoding with a cache, step by step.

use std::ops::ControlFlow;

use burn::tensor::{Int, Tensor};
use tessera_layers::Trace;

use super::{ConditionEmbedding, Decoder, Prompt};
use crate::kept::{Kept, index, known};
use crate::sampling::{draw, guided};
use crate::{GeneratorError, GuidanceSchedule, Sampling, Step, Turns};

/// How a sequence is decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Scale of guidance; up to 1 there is none.
    pub scale: f32,
    /// How it moves.
    pub schedule: GuidanceSchedule,
    /// Steps after which the conditional logits are taken as they are.
    pub interval: Option<usize>,
    /// How ids are drawn.
    pub sampling: Sampling,
    /// Seed of the draws.
    pub seed: u64,
    /// Steps to take, of those of the order.
    pub steps: usize,
}

/// Greedy decoding and the logits that led to it.
#[derive(Debug, Clone)]
pub struct Greedy {
    /// `[rows, tokens]` in the layout's order.
    pub ids: Tensor<2, Int>,
    /// After guidance, in the order of decoding, `[rows, tokens, codes]`.
    pub logits: Tensor<3>,
}

impl Decoder {
    /// The most likely token each time.
    ///
    /// # Errors
    /// None of its own: the signature is that of decoding.
    pub fn greedy(&self, prompt: &Prompt, scale: f32, interval: Option<usize>) -> Result<Greedy, GeneratorError> {
        let plan = Plan {
            scale,
            schedule: GuidanceSchedule::Constant,
            interval,
            sampling: Sampling::GREEDY,
            seed: 0,
            steps: self.order().steps().len(),
        };
        let mut all = Vec::new();
        let ids = self.decode(
            prompt,
            &plan,
            None,
            &mut |conditional, unconditional, scale, _| {
                let logits = guided(conditional, unconditional, scale);
                all.push(logits.clone());
                logits.argmax(1).flatten(0, 1)
            },
            &mut |_| ControlFlow::Continue(()),
        )?;
        let [rows, _] = ids.dims();
        let logits = all.into_iter().map(|logits| {
            let [all, codes] = logits.dims();
            logits.reshape([rows, all / rows.max(1), codes])
        });
        Ok(Greedy { ids, logits: Tensor::cat(logits.collect(), 1) })
    }

    /// Draws a sequence for each row of the prompt; `[rows, tokens]` in the layout's order, zeros where the plan ends early.
    pub(super) fn sample(
        &self,
        prompt: &Prompt,
        plan: &Plan,
        kept: Option<&Kept>,
        on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
    ) -> Result<Tensor<2, Int>, GeneratorError> {
        let mut choose = |conditional, unconditional, scale, step: usize| {
            draw(conditional, unconditional, scale, plan.sampling, plan.seed, step as u64)
        };
        self.decode(prompt, plan, kept, &mut choose, on_step)
    }

    fn decode(
        &self,
        prompt: &Prompt,
        plan: &Plan,
        kept: Option<&Kept>,
        choose: &mut dyn FnMut(Tensor<2>, Option<Tensor<2>>, f32, usize) -> Tensor<1, Int>,
        on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
    ) -> Result<Tensor<2, Int>, GeneratorError> {
        let (rows, steps) = (prompt.rows(), self.order().steps());
        let is_guided = plan.scale > 1.0 && !prompt.is_empty();
        let prompt = if is_guided { &prompt.with_unconditional() } else { prompt };
        let padding = ConditionEmbedding::padding(prompt, &self.device());
        let mut caches = self.caches(prompt.rows());
        let mut x = self.embed_prompt(prompt);
        let mut from = 0;
        let mut found: Vec<Tensor<2, Int>> = Vec::new();
        let most = plan.steps.min(steps.len());
        for (step, run) in steps.iter().take(most).enumerate() {
            let [_, count, _] = x.dims();
            let states = self.forward(x, from, padding.as_ref(), Some(&mut caches), &mut Trace::none());
            from += count;
            let logits = self.logits(&states, run.clone());
            let [all, width, codes] = logits.dims();
            let logits = logits.reshape([all * width, codes]);
            let logits = Turns::apply(self.turns(), logits, self.order().positions().get(run.clone()));
            let half = rows * width;
            let (conditional, unconditional) = match is_guided {
                true => (logits.clone().narrow(0, 0, half), Some(logits.narrow(0, half, half))),
                false => (logits, None),
            };
            // Both count what is there already: tokens (NAR), or decoding steps, of which the first is the second token's.
            let done = match self.is_stepwise() {
                true => run.start.saturating_sub(1),
                false => run.start,
            };
            let is_over = run.start > 0 && plan.interval.is_some_and(|interval| done > interval);
            let scale = match is_over {
                true => 1.0,
                false => plan.schedule.scale(f64::from(plan.scale), step, most) as f32,
            };
            let ids = choose(conditional, unconditional, scale, step).reshape([rows, width]);
            let ids = kept.map_or(ids.clone(), |kept| kept.put(ids, run.start));
            found.push(ids.clone());
            let so_far = || known(&found, self.order().positions());
            if on_step(&Step::of_ids(step, most, &so_far)).is_break() {
                return Err(GeneratorError::Stopped(step));
            }
            x = self.embed(if is_guided { Tensor::cat(vec![ids.clone(), ids], 0) } else { ids });
        }
        let found = Tensor::cat(found, 1);
        let [_, count] = found.dims();
        let missing = self.order().positions().len() - count;
        let found = match missing {
            0 => found,
            _ => Tensor::cat(vec![found, Tensor::zeros([rows, missing], &self.device())], 1),
        };
        Ok(self.in_layout(found))
    }

    /// Whether a step decodes one token.
    fn is_stepwise(&self) -> bool {
        self.order().taught() < self.order().positions().len()
    }

    /// Tokens by place in the order as tokens by position.
    fn in_layout(&self, ids: Tensor<2, Int>) -> Tensor<2, Int> {
        match self.order().is_raster() {
            true => ids,
            false => ids.select(1, index(self.order().places(), &self.device())),
        }
    }
}
