//! CPU twin of `group_norm_silu.wgsl`.

use multiversion::multiversion;
use rayon::prelude::*;

/// `x [b, c, s] -> [b, c, s]`; one task per item and group, moments in partial sums of sixteen lanes.
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

const LANES: usize = 16;

#[multiversion(targets("x86_64+avx512f+fma", "x86_64+avx2+fma"))]
fn moments(x: &[f32]) -> (f32, f32) {
    let count = x.len() as f64;
    let mean = (lane_sum(x, |value| value) / count) as f32;
    let variance = lane_sum(x, |value| (value - mean) * (value - mean)) / count;
    (mean, variance as f32)
}

/// Sums f32 lanes over short blocks and the blocks in f64, which keeps millions of terms exact enough.
#[inline(always)]
fn lane_sum(x: &[f32], term: impl Fn(f32) -> f32) -> f64 {
    let mut total = 0.0f64;
    for block in x.chunks(1024) {
        let mut lanes = [0.0f32; LANES];
        let whole = block.chunks_exact(LANES);
        total += whole.remainder().iter().map(|&value| f64::from(term(value))).sum::<f64>();
        for chunk in whole {
            for lane in 0..LANES {
                lanes[lane] += term(chunk[lane]);
            }
        }
        total += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
    }
    total
}

#[multiversion(targets("x86_64+avx512f+fma", "x86_64+avx2+fma"))]
fn affine_silu(out: &mut [std::mem::MaybeUninit<f32>], x: &[f32], weight: f32, bias: f32, silu: bool) {
    if silu {
        for (out, &x) in out.iter_mut().zip(x) {
            let value = x * weight + bias;
            out.write(value / (1.0 + exp(-value)));
        }
    } else {
        for (out, &x) in out.iter_mut().zip(x) {
            out.write(x * weight + bias);
        }
    }
}

/// e^x to about 2 ulp without a table or a branch, so that the loops around it become SIMD.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2, e^r by its Taylor polynomial of degree 6 and 2^n put into the
/// exponent bits; arguments are clamped to +-87, where f32 ends.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 87.0);
    // Adding and taking away 1.5 * 2^23 rounds to the nearest whole number.
    let shifted = x * std::f32::consts::LOG2_E + 12_582_912.0;
    let n = shifted - 12_582_912.0;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let polynomial =
        1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0))))));
    let exponent = (shifted.to_bits() as i32).wrapping_sub(12_582_912.0f32.to_bits() as i32);
    polynomial * f32::from_bits(((exponent + 127) << 23) as u32)
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn exp_stays_within_a_few_ulp() {
        for step in -8_700..=8_700 {
            let x = step as f32 * 0.01;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / expected - 1.0).abs() < 4e-7, "exp({x}) = {found}, not {expected}");
        }
    }
}
