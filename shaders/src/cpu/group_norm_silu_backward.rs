//! Gradients of group normalisation and SiLU.

use rayon::prelude::*;

use super::group_norm_silu::{BLOCK, moments};
use super::simd::{LANES, Lanes, dispatch};
use crate::group_norm_silu::GroupNormSilu;

/// Makes the gradient of the output that of `x [b, c, s]`, and returns those of `gamma` and `beta`.
///
/// One task per item and group. With n = (x - mean) * scale and d the gradient before SiLU, the first pass leaves d in
/// place of the gradient and sums d and d * n over each channel; the second makes
/// `scale * (d * gamma - mean(d * gamma) - n * mean(d * gamma * n))` of it.
pub fn group_norm_silu_backward(
    x: &[f32],
    (gamma, beta): (&[f32], &[f32]),
    grad: &mut [f32],
    [_, c, s]: [usize; 3],
    GroupNormSilu { groups, epsilon, silu }: GroupNormSilu,
) -> [Vec<f32>; 2] {
    let channels = c / groups;
    let task = |(index, (grad, x)): (usize, (&mut [f32], &[f32]))| {
        let (mean, variance) = moments(x);
        let scale = 1.0 / (variance + epsilon).sqrt();
        let first = index % groups * channels;
        let mut sums = Vec::with_capacity(channels);
        let (mut whole, mut whole_normal) = (0.0, 0.0);
        for (channel, (grad, x)) in grad.chunks_exact_mut(s).zip(x.chunks_exact(s)).enumerate() {
            let (gamma, beta) = (gamma[first + channel], beta[first + channel]);
            let affine = Affine { mean, scale, gamma, beta };
            let (mut sum, mut sum_normal) = (0.0f64, 0.0f64);
            for (grad, x) in grad.chunks_mut(BLOCK).zip(x.chunks(BLOCK)) {
                let [of_block, normal] = before_silu(x, grad, affine, silu);
                sum += f64::from(of_block);
                sum_normal += f64::from(normal);
            }
            whole += sum * f64::from(gamma);
            whole_normal += sum_normal * f64::from(gamma);
            sums.push([sum_normal, sum]);
        }
        let count = x.len() as f64;
        let means = [(whole / count) as f32, (whole_normal / count) as f32];
        for (channel, (grad, x)) in grad.chunks_exact_mut(s).zip(x.chunks_exact(s)).enumerate() {
            centre(x, grad, Affine { mean, scale, gamma: gamma[first + channel], beta: 0.0 }, means);
        }
        sums
    };
    let sums: Vec<Vec<[f64; 2]>> =
        grad.par_chunks_mut(channels * s).zip(x.par_chunks(channels * s)).enumerate().map(task).collect();
    // Items are added up in their order, so that the result is the same every time.
    let sums = sums.as_slice();
    [0, 1].map(|which| {
        let of = |channel: usize| {
            let groups_of_items = sums[channel / channels..].iter().step_by(groups);
            groups_of_items.map(|sums| sums[channel % channels][which]).sum::<f64>() as f32
        };
        (0..c).map(of).collect()
    })
}

/// What makes an output of an input.
#[derive(Clone, Copy)]
struct Affine {
    mean: f32,
    scale: f32,
    gamma: f32,
    beta: f32,
}

dispatch!(
    /// Makes the gradient that before SiLU, if there is one, and sums it and its product with the normalised input.
    fn before_silu(x: &[f32], grad: &mut [f32], affine: Affine, silu: bool) -> [f32; 2] = sums_lanes
);

#[inline(always)]
fn sums_lanes<V: Lanes>(x: &[f32], grad: &mut [f32], affine: Affine, silu: bool) -> [f32; 2] {
    let ((xs, x_rest), (grads, grad_rest)) = (x.as_chunks::<LANES>(), grad.as_chunks_mut::<LANES>());
    let mut sums = [V::splat(0.0); 2];
    for (x, grad) in xs.iter().zip(grads) {
        one(x, grad, affine, silu, &mut sums);
    }
    if !x_rest.is_empty() {
        let (mut x, mut grad) = ([0.0; LANES], [0.0; LANES]);
        x[..x_rest.len()].copy_from_slice(x_rest);
        // Lanes beyond the end have no gradient and add nothing.
        grad[..x_rest.len()].copy_from_slice(grad_rest);
        one(&x, &mut grad, affine, silu, &mut sums);
        grad_rest.copy_from_slice(&grad[..grad_rest.len()]);
    }
    sums.map(|sum| sum.sum())
}

/// With z the value before SiLU and s = sigmoid(z): `grad * (s + z s (1 - s))`.
#[inline(always)]
fn one<V: Lanes>(x: &[f32; LANES], grad: &mut [f32; LANES], affine: Affine, silu: bool, sums: &mut [V; 2]) {
    let normal = V::load(x).sub(V::splat(affine.mean)).mul(V::splat(affine.scale));
    let mut slope = V::load(grad);
    if silu {
        let one = V::splat(1.0);
        let value = normal.mul_add(V::splat(affine.gamma), V::splat(affine.beta));
        let sigmoid = one.div(one.add(V::splat(0.0).sub(value).exp()));
        slope = slope.mul(value.mul(sigmoid).mul_add(one.sub(sigmoid), sigmoid));
        slope.store(grad);
    }
    sums[0] = sums[0].add(slope);
    sums[1] = slope.mul_add(normal, sums[1]);
}

dispatch!(
    /// Takes from each gradient what it shares with the others of its group.
    fn centre(x: &[f32], grad: &mut [f32], affine: Affine, means: [f32; 2]) = centre_lanes
);

#[inline(always)]
fn centre_lanes<V: Lanes>(x: &[f32], grad: &mut [f32], affine: Affine, [mean, mean_normal]: [f32; 2]) {
    let Affine { scale, gamma, .. } = affine;
    let ((xs, x_rest), (grads, grad_rest)) = (x.as_chunks::<LANES>(), grad.as_chunks_mut::<LANES>());
    for (x, grad) in xs.iter().zip(grads) {
        let normal = V::load(x).sub(V::splat(affine.mean)).mul(V::splat(scale));
        let inner = V::load(grad).mul_add(V::splat(gamma), V::splat(-mean));
        normal.mul_add(V::splat(-mean_normal), inner).mul(V::splat(scale)).store(grad);
    }
    for (x, grad) in x_rest.iter().zip(grad_rest) {
        let normal = (x - affine.mean) * scale;
        *grad = scale * (*grad * gamma - mean - normal * mean_normal);
    }
}
