//! CPU twin of `group_norm_silu.wgsl`.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::simd::{LANES, Lanes, dispatch};

/// `x [b, c, s] -> [b, c, s]`; one task per item and group, read twice.
pub fn group_norm_silu(
    x: &[f32],
    (gamma, beta): (&[f32], &[f32]),
    [_, c, s]: [usize; 3],
    groups: usize,
    epsilon: f32,
    silu: bool,
) -> Vec<f32> {
    let mut y = Vec::with_capacity(x.len());
    let channels = c / groups;
    let spare = y.spare_capacity_mut();
    spare[..x.len()].par_chunks_mut(channels * s).zip(x.par_chunks(channels * s)).enumerate().for_each(
        |(index, (out, x))| {
            let (mean, variance) = moments(x);
            let scale = 1.0 / (variance + epsilon).sqrt();
            let first = index % groups * channels;
            for (channel, (out, x)) in out.chunks_exact_mut(s).zip(x.chunks_exact(s)).enumerate() {
                let weight = scale * gamma[first + channel];
                let bias = beta[first + channel] - mean * weight;
                affine_silu(out, x, weight, bias, silu);
            }
        },
    );
    // SAFETY: every element of the spare capacity up to x.len() was written above, because the chunks of
    // `out` and `x` have the same lengths and `affine_silu` writes each element of its chunk.
    unsafe { y.set_len(x.len()) };
    y
}

/// Values whose moments are taken at once: they stay in the first-level cache for the second look.
pub(super) const BLOCK: usize = 2048;

/// Mean and biased variance. Blocks are merged in f64 (Chan et al. 1983), which keeps millions of values exact
/// enough and reads memory once.
pub(super) fn moments(x: &[f32]) -> (f32, f32) {
    let (mut count, mut mean, mut squares) = (0.0f64, 0.0f64, 0.0f64);
    for block in x.chunks(BLOCK) {
        let (block_mean, block_squares) = block_moments(block);
        let (block_mean, block_count) = (f64::from(block_mean), block.len() as f64);
        let (total, apart) = (count + block_count, block_mean - mean);
        squares += f64::from(block_squares) + apart * apart * count * block_count / total;
        mean += apart * block_count / total;
        count = total;
    }
    (mean as f32, (squares / count) as f32)
}

dispatch!(
    /// Mean, and the sum of squared distances to it.
    fn block_moments(x: &[f32]) -> (f32, f32) = block_moments_lanes
);

#[inline(always)]
fn block_moments_lanes<V: Lanes>(x: &[f32]) -> (f32, f32) {
    let (whole, rest) = x.as_chunks::<LANES>();
    let mut sums = [V::splat(0.0); 4];
    let (fours, single) = whole.as_chunks::<4>();
    for four in fours {
        for (sum, lanes) in sums.iter_mut().zip(four) {
            *sum = sum.add(V::load(lanes));
        }
    }
    for lanes in single {
        sums[0] = sums[0].add(V::load(lanes));
    }
    let [a, b, c, d] = sums;
    let mean = (a.add(b).add(c.add(d)).sum() + rest.iter().sum::<f32>()) / x.len() as f32;
    let mut squares = [V::splat(0.0); 4];
    for four in fours {
        for (sum, lanes) in squares.iter_mut().zip(four) {
            let apart = V::load(lanes).sub(V::splat(mean));
            *sum = apart.mul_add(apart, *sum);
        }
    }
    for lanes in single {
        let apart = V::load(lanes).sub(V::splat(mean));
        squares[0] = apart.mul_add(apart, squares[0]);
    }
    let [a, b, c, d] = squares;
    let rest: f32 = rest.iter().map(|value| (value - mean) * (value - mean)).sum();
    (mean, a.add(b).add(c.add(d)).sum() + rest)
}

dispatch!(
    fn affine_silu(
        out: &mut [MaybeUninit<f32>],
        x: &[f32],
        weight: f32,
        bias: f32,
        silu: bool,
    ) = affine_silu_lanes
);

#[inline(always)]
fn affine_silu_lanes<V: Lanes>(out: &mut [MaybeUninit<f32>], x: &[f32], weight: f32, bias: f32, silu: bool) {
    let (weights, biases) = (V::splat(weight), V::splat(bias));
    let ((whole, rest), (outs, out_rest)) = (x.as_chunks::<LANES>(), out.as_chunks_mut::<LANES>());
    for (lanes, out) in whole.iter().zip(outs) {
        let mut y = [0.0; LANES];
        one::<V>(V::load(lanes).mul_add(weights, biases), silu).store(&mut y);
        *out = y.map(MaybeUninit::new);
    }
    let mut y = [0.0; LANES];
    y[..rest.len()].copy_from_slice(rest);
    one::<V>(V::load(&y).mul_add(weights, biases), silu).store(&mut y);
    for (out, y) in out_rest.iter_mut().zip(y) {
        out.write(y);
    }
}

#[inline(always)]
fn one<V: Lanes>(value: V, silu: bool) -> V {
    let one = V::splat(1.0);
    if silu { value.div(one.add(V::splat(0.0).sub(value).exp())) } else { value }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, moments};

    #[test]
    fn moments_of_many_values_far_from_zero() {
        let x: Vec<f32> = (0..3 * BLOCK + 77).map(|i| 1000.0 + (i % 7) as f32 * 0.125).collect();
        let count = x.len() as f64;
        let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        let variance = x.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
        let found = moments(&x);
        assert!((f64::from(found.0) - mean).abs() < 1e-4 && (f64::from(found.1) - variance).abs() < 1e-6);
    }
}
