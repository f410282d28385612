//! Layer normalisation without parameters, over rows, and its gradient.

use rayon::prelude::*;

use super::layer_norm::{moments, rows_of};
use super::simd::{LANES, Lanes, dispatch};

/// Each row of `width` values of `x`, normalised.
pub fn norm(x: &[f32], width: usize, epsilon: f32) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    let part = rows_of(width);
    y.par_chunks_mut(part).zip(x.par_chunks(part)).for_each(|(y, x)| {
        // A part stays in the cache between the copy and the sums.
        y.copy_from_slice(x);
        forward(y, width, epsilon);
    });
    y
}

/// As [`norm`], in place.
pub fn norm_in_place(x: &mut [f32], width: usize, epsilon: f32) {
    x.par_chunks_mut(rows_of(width)).for_each(|x| forward(x, width, epsilon));
}

/// Makes the gradient of the output that of `x`.
pub fn norm_backward(x: &[f32], grad: &mut [f32], width: usize, epsilon: f32) {
    let part = rows_of(width);
    grad.par_chunks_mut(part).zip(x.par_chunks(part)).for_each(|(grad, x)| backward(x, grad, width, epsilon));
}

dispatch!(fn forward(x: &mut [f32], width: usize, epsilon: f32) = forward_lanes);

#[inline(always)]
fn forward_lanes<V: Lanes>(x: &mut [f32], width: usize, epsilon: f32) {
    for x in x.chunks_exact_mut(width) {
        let (mean, scale) = moments::<V>(x, epsilon);
        let shift = -mean * scale;
        let (whole, rest) = x.as_chunks_mut::<LANES>();
        for lanes in whole {
            V::load(lanes).mul_add(V::splat(scale), V::splat(shift)).store(lanes);
        }
        for x in rest {
            *x = *x * scale + shift;
        }
    }
}

dispatch!(fn backward(x: &[f32], grad: &mut [f32], width: usize, epsilon: f32) = backward_lanes);

/// With n = (x - mean) * scale: `scale * (grad - mean(grad) - n * mean(grad * n))`.
#[inline(always)]
fn backward_lanes<V: Lanes>(x: &[f32], grad: &mut [f32], width: usize, epsilon: f32) {
    for (x, grad) in x.chunks_exact(width).zip(grad.chunks_exact_mut(width)) {
        let (mean, scale) = moments::<V>(x, epsilon);
        let shift = -mean * scale;
        let (xs, grads) = (x.as_chunks::<LANES>(), grad.as_chunks_mut::<LANES>());
        let (mut sum, mut sum_normal) = (V::splat(0.0), V::splat(0.0));
        for (x, grad) in xs.0.iter().zip(&*grads.0) {
            let (normal, grad) = (V::load(x).mul_add(V::splat(scale), V::splat(shift)), V::load(grad));
            sum = sum.add(grad);
            sum_normal = grad.mul_add(normal, sum_normal);
        }
        let (mut sum, mut sum_normal) = (sum.sum(), sum_normal.sum());
        for (x, grad) in xs.1.iter().zip(&*grads.1) {
            sum += grad;
            sum_normal += grad * (x * scale + shift);
        }
        let (mean_grad, mean_normal) = (sum / width as f32, sum_normal / width as f32);
        for (x, grad) in xs.0.iter().zip(grads.0) {
            let normal = V::load(x).mul_add(V::splat(scale), V::splat(shift));
            let inner = V::load(grad).sub(V::splat(mean_grad));
            normal.mul_add(V::splat(-mean_normal), inner).mul(V::splat(scale)).store(grad);
        }
        for (x, grad) in xs.1.iter().zip(grads.1) {
            *grad = scale * (*grad - mean_grad - (x * scale + shift) * mean_normal);
        }
    }
}
