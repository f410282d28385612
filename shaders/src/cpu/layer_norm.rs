//! Layer normalisation over rows, and its gradients.

use rayon::prelude::*;

use super::simd::{LANES, Lanes, dispatch};

/// Values that one task takes, in whole rows.
const PART: usize = 16 * 1024;

/// Values of a part of rows of `width`.
pub(super) fn rows_of(width: usize) -> usize {
    (PART / width).max(1) * width
}

/// `y = (x - mean) / sqrt(variance + epsilon) * gamma + beta` for each row of `gamma.len()` values.
pub fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    let part = rows_of(gamma.len());
    y.par_chunks_mut(part).zip(x.par_chunks(part)).for_each(|(y, x)| forward_rows(x, gamma, beta, epsilon, y));
    y
}

/// Gradients of `x`, `gamma` and `beta` from that of `y`.
pub fn layer_norm_backward(x: &[f32], gamma: &[f32], grad: &[f32], epsilon: f32) -> [Vec<f32>; 3] {
    let mut of_x = vec![0.0; x.len()];
    let width = gamma.len();
    let part = rows_of(width);
    // Sums over the rows of a part, added up in the order of the parts, so that the result is the same every time.
    let sums: Vec<Vec<f32>> = of_x
        .par_chunks_mut(part)
        .zip(x.par_chunks(part).zip(grad.par_chunks(part)))
        .map(|(of_x, (x, grad))| {
            let mut sums = vec![0.0; 2 * width];
            backward_rows(x, gamma, grad, epsilon, of_x, &mut sums);
            sums
        })
        .collect();
    let mut total = vec![0.0; 2 * width];
    for sums in sums {
        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    let of_beta = total.split_off(width);
    [of_x, total, of_beta]
}

dispatch!(
    pub(super) fn forward_rows(
        x: &[f32],
        gamma: &[f32],
        beta: &[f32],
        epsilon: f32,
        y: &mut [f32],
    ) = forward_lanes
);

#[inline(always)]
fn forward_lanes<V: Lanes>(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32, y: &mut [f32]) {
    let width = gamma.len();
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        let (mean, scale) = moments::<V>(x, epsilon);
        let shift = -mean * scale;
        let (gammas, betas) = (gamma.as_chunks::<LANES>(), beta.as_chunks::<LANES>());
        let (xs, ys) = (x.as_chunks::<LANES>(), y.as_chunks_mut::<LANES>());
        for (((x, y), gamma), beta) in xs.0.iter().zip(ys.0).zip(gammas.0).zip(betas.0) {
            let normal = V::load(x).mul_add(V::splat(scale), V::splat(shift));
            normal.mul_add(V::load(gamma), V::load(beta)).store(y);
        }
        for (((x, y), gamma), beta) in xs.1.iter().zip(ys.1).zip(gammas.1).zip(betas.1) {
            *y = (x * scale + shift) * gamma + beta;
        }
    }
}

/// Mean and `1 / sqrt(variance + epsilon)`.
#[inline(always)]
pub(super) fn moments<V: Lanes>(x: &[f32], epsilon: f32) -> (f32, f32) {
    let (whole, rest) = x.as_chunks::<LANES>();
    let mut sum = V::splat(0.0);
    for lanes in whole {
        sum = sum.add(V::load(lanes));
    }
    let mean = (sum.sum() + rest.iter().sum::<f32>()) / x.len() as f32;
    let mut squares = V::splat(0.0);
    for lanes in whole {
        let centred = V::load(lanes).sub(V::splat(mean));
        squares = centred.mul_add(centred, squares);
    }
    let mut variance = squares.sum();
    for value in rest {
        variance += (value - mean) * (value - mean);
    }
    (mean, 1.0 / (variance / x.len() as f32 + epsilon).sqrt())
}

dispatch!(
    /// Writes the gradient of `x` and adds those of `gamma` and `beta` to `sums`.
    pub(super) fn backward_rows(
        x: &[f32],
        gamma: &[f32],
        grad: &[f32],
        epsilon: f32,
        of_x: &mut [f32],
        sums: &mut [f32],
    ) = backward_lanes
);

/// With n = (x - mean) * scale and g = grad * gamma: `of_x = scale * (g - mean(g) - n * mean(g * n))`.
#[inline(always)]
fn backward_lanes<V: Lanes>(x: &[f32], gamma: &[f32], grad: &[f32], epsilon: f32, of_x: &mut [f32], sums: &mut [f32]) {
    let width = gamma.len();
    let (of_gamma, of_beta) = sums.split_at_mut(width);
    let rows = x.chunks_exact(width).zip(grad.chunks_exact(width)).zip(of_x.chunks_exact_mut(width));
    for ((x, grad), of_x) in rows {
        let (mean, scale) = moments::<V>(x, epsilon);
        let shift = -mean * scale;
        let (xs, grads, gammas) = (x.as_chunks::<LANES>(), grad.as_chunks::<LANES>(), gamma.as_chunks::<LANES>());
        let (mut sum, mut sum_normal) = (V::splat(0.0), V::splat(0.0));
        let (of_gammas, of_betas) = (of_gamma.as_chunks_mut::<LANES>(), of_beta.as_chunks_mut::<LANES>());
        let lanes = xs.0.iter().zip(grads.0).zip(gammas.0).zip(of_gammas.0).zip(of_betas.0);
        for ((((x, grad), gamma), of_gamma), of_beta) in lanes {
            let normal = V::load(x).mul_add(V::splat(scale), V::splat(shift));
            let grad = V::load(grad);
            normal.mul_add(grad, V::load(of_gamma)).store(of_gamma);
            grad.add(V::load(of_beta)).store(of_beta);
            let inner = grad.mul(V::load(gamma));
            sum = sum.add(inner);
            sum_normal = inner.mul_add(normal, sum_normal);
        }
        let (mut sum, mut sum_normal) = (sum.sum(), sum_normal.sum());
        let rest = xs.1.iter().zip(grads.1).zip(gammas.1).zip(of_gammas.1).zip(of_betas.1);
        for ((((x, grad), gamma), of_gamma), of_beta) in rest {
            let normal = x * scale + shift;
            *of_gamma += normal * grad;
            *of_beta += grad;
            sum += grad * gamma;
            sum_normal += grad * gamma * normal;
        }
        let (mean_grad, mean_normal) = (sum / width as f32, sum_normal / width as f32);
        let of_xs = of_x.as_chunks_mut::<LANES>();
        for (((x, grad), gamma), of_x) in xs.0.iter().zip(grads.0).zip(gammas.0).zip(of_xs.0) {
            let normal = V::load(x).mul_add(V::splat(scale), V::splat(shift));
            let inner = V::load(grad).mul(V::load(gamma)).sub(V::splat(mean_grad));
            normal.mul_add(V::splat(-mean_normal), inner).mul(V::splat(scale)).store(of_x);
        }
        for (((x, grad), gamma), of_x) in xs.1.iter().zip(grads.1).zip(gammas.1).zip(of_xs.1) {
            *of_x = scale * (grad * gamma - mean_grad - (x * scale + shift) * mean_normal);
        }
    }
}
