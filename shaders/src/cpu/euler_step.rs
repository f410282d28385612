//! CPU twin of `euler_step.wgsl`, and the step with plain guidance.

use rayon::prelude::*;

use super::simd::{LANES, Lanes, dispatch};
use crate::euler_step::{EulerStep, Projection};

/// Values beyond which it pays to wake other threads.
const PART: usize = 64 * 1024;

/// Values whose sums are taken in f32; those of blocks are added up in f64.
const BLOCK: usize = 512;

/// `x -= dt * (uncond + guidance * (cond - uncond))`.
pub fn euler_step(x: &mut [f32], cond: &[f32], uncond: &[f32], dt: f32, guidance: f32) {
    if x.len() <= PART {
        return plain(x, cond, uncond, dt, guidance);
    }
    let parts = x.par_chunks_mut(PART).zip(cond.par_chunks(PART).zip(uncond.par_chunks(PART)));
    parts.for_each(|(x, (cond, uncond))| plain(x, cond, uncond, dt, guidance));
}

/// The step with projected guidance: makes `x` the next `x` and `running` (zero before the first step) the difference.
/// Items have `count` values.
pub fn euler_step_projected(
    x: &mut [f32],
    cond: &[f32],
    uncond: &[f32],
    running: &mut [f32],
    count: usize,
    (step, projection): (EulerStep, Projection),
) {
    let scales = (step, projection);
    if x.len() <= PART {
        let inputs = cond.chunks(count).zip(uncond.chunks(count));
        let outputs = x.chunks_mut(count).zip(running.chunks_mut(count));
        return outputs.zip(inputs).for_each(|((x, running), (cond, uncond))| item(x, cond, uncond, running, scales));
    }
    let inputs = cond.par_chunks(count).zip(uncond.par_chunks(count));
    let outputs = x.par_chunks_mut(count).zip(running.par_chunks_mut(count));
    outputs.zip(inputs).for_each(|((x, running), (cond, uncond))| item(x, cond, uncond, running, scales));
}

fn item(x: &mut [f32], cond: &[f32], uncond: &[f32], running: &mut [f32], (step, projection): (EulerStep, Projection)) {
    let mut sums = [0.0f64; 3];
    let blocks = running.chunks_mut(BLOCK).zip(cond.chunks(BLOCK).zip(uncond.chunks(BLOCK)));
    for (running, (cond, uncond)) in blocks {
        let block = difference(running, cond, uncond, projection.momentum);
        sums.iter_mut().zip(block).for_each(|(sum, block)| *sum += f64::from(block));
    }
    let [of_difference, of_both, of_cond] = sums;
    let (norm, threshold) = (of_difference.sqrt(), f64::from(projection.norm_threshold));
    let factor = if threshold > 0.0 && norm > threshold { threshold / norm } else { 1.0 };
    let taken = factor * of_both / of_cond.max(1e-24) * (1.0 - f64::from(projection.eta));
    // x - dt (c + (s - 1) (f d - k c)), with the factors of c and d put together.
    let (dt, more) = (f64::from(step.dt), f64::from(step.guidance) - 1.0);
    update(x, cond, running, (dt * (1.0 - more * taken)) as f32, (dt * more * factor) as f32);
}

dispatch!(fn plain(x: &mut [f32], cond: &[f32], uncond: &[f32], dt: f32, guidance: f32) = plain_lanes);

#[inline(always)]
fn plain_lanes<V: Lanes>(x: &mut [f32], cond: &[f32], uncond: &[f32], dt: f32, guidance: f32) {
    let (xs, conds, unconds) = (x.as_chunks_mut::<LANES>(), cond.as_chunks::<LANES>(), uncond.as_chunks::<LANES>());
    for ((x, cond), uncond) in xs.0.iter_mut().zip(conds.0).zip(unconds.0) {
        let uncond = V::load(uncond);
        let velocity = V::load(cond).sub(uncond).mul_add(V::splat(guidance), uncond);
        velocity.mul_add(V::splat(-dt), V::load(x)).store(x);
    }
    for ((x, cond), uncond) in xs.1.iter_mut().zip(conds.1).zip(unconds.1) {
        *x -= dt * (uncond + guidance * (cond - uncond));
    }
}

dispatch!(
    /// Makes `running` the difference; returns its squared length, its product with `cond`, and the squared length of that.
    fn difference(running: &mut [f32], cond: &[f32], uncond: &[f32], momentum: f32) -> [f32; 3] = difference_lanes
);

#[inline(always)]
fn difference_lanes<V: Lanes>(running: &mut [f32], cond: &[f32], uncond: &[f32], momentum: f32) -> [f32; 3] {
    let (runnings, conds) = (running.as_chunks_mut::<LANES>(), cond.as_chunks::<LANES>());
    let unconds = uncond.as_chunks::<LANES>();
    let mut sums = [V::splat(0.0); 3];
    for ((running, cond), uncond) in runnings.0.iter_mut().zip(conds.0).zip(unconds.0) {
        let cond = V::load(cond);
        let found = V::load(running).mul_add(V::splat(momentum), cond.sub(V::load(uncond)));
        found.store(running);
        sums = [found.mul_add(found, sums[0]), found.mul_add(cond, sums[1]), cond.mul_add(cond, sums[2])];
    }
    let mut sums = sums.map(|sum| sum.sum());
    for ((running, cond), uncond) in runnings.1.iter_mut().zip(conds.1).zip(unconds.1) {
        let found = cond - uncond + momentum * *running;
        *running = found;
        sums = [sums[0] + found * found, sums[1] + found * cond, sums[2] + cond * cond];
    }
    sums
}

dispatch!(
    /// `x -= of_cond * cond + of_difference * difference`.
    fn update(x: &mut [f32], cond: &[f32], difference: &[f32], of_cond: f32, of_difference: f32) = update_lanes
);

#[inline(always)]
fn update_lanes<V: Lanes>(x: &mut [f32], cond: &[f32], difference: &[f32], of_cond: f32, of_difference: f32) {
    let (xs, conds) = (x.as_chunks_mut::<LANES>(), cond.as_chunks::<LANES>());
    let differences = difference.as_chunks::<LANES>();
    for ((x, cond), difference) in xs.0.iter_mut().zip(conds.0).zip(differences.0) {
        let next = V::load(difference).mul_add(V::splat(-of_difference), V::load(x));
        V::load(cond).mul_add(V::splat(-of_cond), next).store(x);
    }
    for ((x, cond), difference) in xs.1.iter_mut().zip(conds.1).zip(differences.1) {
        *x -= of_cond * cond + of_difference * difference;
    }
}
