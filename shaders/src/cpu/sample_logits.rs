//! CPU twin of `sample_logits.wgsl`.

use rayon::prelude::*;

use crate::sample_logits::Plan;

/// An id for each row of logits `[rows, codes]`; `unconditional` is there where the plan is guided, `given` holds a number in
/// 0..1 for each row where the plan takes them.
pub fn sample_logits(conditional: &[f32], unconditional: &[f32], given: &[f32], plan: &Plan) -> Vec<i32> {
    let rows = conditional.par_chunks(plan.codes).enumerate();
    rows.map(|(row, logits)| {
        let chance = if plan.is_given { given[row] } else { uniform(plan.seed, plan.step, row as u32) };
        let other = if plan.is_guided { &unconditional[row * plan.codes..][..plan.codes] } else { logits };
        draw(&scaled(logits, other, plan), plan, chance)
    })
    .collect()
}

/// Logits after guidance, over the temperature.
fn scaled(conditional: &[f32], unconditional: &[f32], plan: &Plan) -> Vec<f32> {
    if !plan.is_guided {
        return conditional.iter().map(|c| c / plan.temperature).collect();
    }
    let pairs = conditional.iter().zip(unconditional);
    pairs.map(|(c, u)| (u + plan.scale * (c - u)) / plan.temperature).collect()
}

fn draw(logits: &[f32], plan: &Plan, chance: f32) -> i32 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut least = f32::NEG_INFINITY;
    if plan.top_k > 0 && plan.top_k < logits.len() {
        let mut sorted = logits.to_vec();
        let (_, nth, _) = sorted.select_nth_unstable_by(plan.top_k - 1, |a, b| b.total_cmp(a));
        least = *nth;
    }
    let weight = |logit: f32| f64::from((logit - highest).exp());
    if plan.top_p < 1.0 {
        let mut sorted: Vec<f32> = logits.iter().copied().filter(|&logit| logit >= least).collect();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let bound = f64::from(plan.top_p) * sorted.iter().map(|&logit| weight(logit)).sum::<f64>();
        // The mass before a code is that of all above it: ties stay or go together.
        let mut before = 0.0;
        for tied in sorted.chunk_by(|a, b| a == b) {
            if before > bound {
                break;
            }
            least = tied[0];
            before += tied.iter().map(|&logit| weight(logit)).sum::<f64>();
        }
    }
    let kept = logits.iter().enumerate().filter(|(_, logit)| **logit >= least);
    let weights: Vec<(usize, f64)> = kept.map(|(at, &logit)| (at, weight(logit))).collect();
    let target = f64::from(chance) * weights.iter().map(|(_, weight)| weight).sum::<f64>();
    let mut sum = 0.0;
    let found = weights.iter().find(|(_, weight)| {
        sum += weight;
        sum > target
    });
    found.or(weights.last()).map_or(0, |(at, _)| *at as i32)
}

/// A number in 0..1 that follows from seed, step and row: 24 bits of Philox 4x32-10.
///
/// Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
pub fn uniform(seed: u64, step: u64, row: u32) -> f32 {
    let mut counter = [row, step as u32, (step >> 32) as u32, 0];
    let mut key = [seed as u32, (seed >> 32) as u32];
    for _ in 0..10 {
        let [first, second] = [0xd251_1f53_u64 * u64::from(counter[0]), 0xcd9e_8d57_u64 * u64::from(counter[2])];
        counter = [
            (second >> 32) as u32 ^ counter[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    (counter[0] >> 8) as f32 / 16_777_216.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniforms_are_philox_and_even() {
        // The published vector of Philox 4x32-10 for a counter and a key of zeros begins with 0x6627e8d5.
        assert_eq!(uniform(0, 0, 0), (0x6627_e8d5_u32 >> 8) as f32 / 16_777_216.0);
        let mean = (0..4096).map(|row| f64::from(uniform(7, 3, row))).sum::<f64>() / 4096.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert_ne!(uniform(7, 3, 1), uniform(7, 4, 1));
    }
}
