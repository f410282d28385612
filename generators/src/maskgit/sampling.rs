//! Filling in masked tokens step by step.

use std::f32::consts::FRAC_PI_2;
use std::ops::ControlFlow;

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{MaskGitConfig, MaskGitNetwork, SamplingConfig};
use crate::{GeneratorError, Step};

/// Source of the uniform numbers in 0..1 behind the two Gumbel draws of a step.
pub trait Draws {
    /// `count` numbers for the logits `[batch, positions, codes]` of `step`.
    fn logits(&mut self, step: usize, count: usize) -> Vec<f32>;
    /// `count` numbers for the confidences `[batch, positions]` of `step`.
    fn confidence(&mut self, step: usize, count: usize) -> Vec<f32>;
}

/// Draws from a seed.
pub struct RandomDraws(ChaCha8Rng);

impl RandomDraws {
    /// The same seed draws the same numbers on every machine.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }
}

impl Draws for RandomDraws {
    fn logits(&mut self, _step: usize, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.0.random()).collect()
    }

    fn confidence(&mut self, step: usize, count: usize) -> Vec<f32> {
        self.logits(step, count)
    }
}

/// Samples ids `[samples, positions]` row by row; `classes[i]` is `None` for an unconditional sample.
///
/// # Errors
/// [`GeneratorError::Stopped`] if `on_step` breaks, [`GeneratorError::Device`] if a result cannot be read.
pub fn sample(
    network: &MaskGitNetwork,
    config: &MaskGitConfig,
    sampling: &SamplingConfig,
    classes: &[Option<usize>],
    draws: &mut dyn Draws,
    device: &Device,
    on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
) -> Result<Vec<u32>, GeneratorError> {
    let (positions, codes) = (config.image_seq_len, config.codebook_size);
    let steps = sampling.num_sample_steps;
    let mut ids: Vec<Option<u32>> = vec![None; classes.len() * positions];
    for step in 0..steps {
        let scale = sampling.scale_at(step);
        let ratio = (step + 1) as f32 / steps as f32;
        let temperature = sampling.randomize_temperature * (1.0 - ratio);
        let mut logits = predict(network, config, &ids, classes, device)?;
        if scale != 0.0 {
            let nobody = vec![None; classes.len()];
            let unconditional = predict(network, config, &ids, &nobody, device)?;
            let from_unconditional = sampling.guidance_decay == super::GuidanceDecay::PowerCosine;
            for (with, without) in logits.iter_mut().zip(unconditional) {
                let start = if from_unconditional { without } else { *with };
                *with = start + (*with - without) * scale;
            }
        }
        if sampling.softmax_temperature_annealing {
            let divisor = 0.5 + 0.8 * (1.0 - ratio);
            logits.iter_mut().for_each(|logit| *logit /= divisor);
        }

        let noise = draws.logits(step, logits.len());
        let (candidates, mut confidence) = candidates(&ids, &logits, &noise, codes, temperature);
        let noise = draws.confidence(step, confidence.len());
        for (confidence, &uniform) in confidence.iter_mut().zip(&noise) {
            *confidence += temperature * gumbel(uniform);
        }
        // The reference counts the masked positions of the first sample for all of them.
        let masked = ids.iter().take(positions).filter(|id| id.is_none()).count();
        let wanted = (positions as f32 * (ratio.acos() / FRAC_PI_2)).floor() as usize;
        let keep_masked = wanted.min(masked.saturating_sub(1)).max(1);
        let last = step + 1 == steps;
        for (row, confidence) in confidence.chunks_exact(positions).enumerate() {
            let threshold = nth_smallest(confidence, keep_masked);
            for (position, &value) in confidence.iter().enumerate() {
                let at = row * positions + position;
                ids[at] = (last || value > threshold).then_some(candidates[at]);
            }
        }
        let so_far = || Ok(ids.clone());
        if on_step(&Step::of_ids(step, steps, &so_far)).is_break() {
            return Err(GeneratorError::Stopped(step));
        }
    }
    Ok(ids.into_iter().flatten().collect())
}

/// Logits `[samples, positions, codes]` of one pass through the network.
fn predict(
    network: &MaskGitNetwork,
    config: &MaskGitConfig,
    ids: &[Option<u32>],
    classes: &[Option<usize>],
    device: &Device,
) -> Result<Vec<f32>, GeneratorError> {
    let positions = config.image_seq_len;
    let mut inputs: Vec<i32> = Vec::with_capacity(ids.len() + classes.len());
    for (row, &class) in ids.chunks_exact(positions).zip(classes) {
        inputs.push(config.class_id(class) as i32);
        inputs.extend(row.iter().map(|id| id.map_or(config.mask_id() as i32, |id| id as i32)));
    }
    let data = TensorData::new(inputs, [classes.len(), positions + 1]);
    let inputs = Tensor::<2, Int>::from_data(data, device);
    network
        .forward(inputs, &mut tessera_layers::Trace::none())
        .into_data()
        .try_to_vec()
        .map_err(|error| GeneratorError::of_device(&error))
}

/// The most likely code of each position after noise, and its logit; a decided position keeps its code and has
/// infinite confidence.
fn candidates(
    ids: &[Option<u32>],
    logits: &[f32],
    noise: &[f32],
    codes: usize,
    temperature: f32,
) -> (Vec<u32>, Vec<f32>) {
    let rows = logits.chunks_exact(codes).zip(noise.chunks_exact(codes));
    ids.iter()
        .zip(rows)
        .map(|(id, (logits, noise))| {
            if let Some(id) = id {
                return (*id, f32::INFINITY);
            }
            let mut best = (0u32, f32::NEG_INFINITY, f32::NEG_INFINITY);
            for (code, (&logit, &uniform)) in (0u32..).zip(logits.iter().zip(noise)) {
                let score = logit + temperature * gumbel(uniform);
                if score > best.1 {
                    best = (code, score, logit);
                }
            }
            (best.0, best.2)
        })
        .unzip()
}

fn gumbel(uniform: f32) -> f32 {
    const SMALLEST: f32 = 1e-20;
    -(-uniform.max(SMALLEST).ln()).max(SMALLEST).ln()
}

/// The `n`-th smallest value, counting from 1.
fn nth_smallest(values: &[f32], n: usize) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    sorted.get(n.saturating_sub(1)).copied().unwrap_or(f32::NEG_INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gumbel_stays_finite_at_both_ends() {
        assert!(gumbel(0.0).is_finite() && gumbel(1.0).is_finite());
        assert!((gumbel((-1.0f32).exp()) - 0.0).abs() < 1e-6);
    }

    #[test]
    fn the_nth_smallest_counts_from_one() {
        let values = [3.0, f32::INFINITY, 1.0, 2.0];
        assert_eq!(nth_smallest(&values, 1), 1.0);
        assert_eq!(nth_smallest(&values, 3), 3.0);
    }
}
