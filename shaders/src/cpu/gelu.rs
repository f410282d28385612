//! The exact GELU, x * (1 + erf(x / sqrt 2)) / 2, and its derivative.

use rayon::prelude::*;

use super::simd::{LANES, Lanes, dispatch};

/// Values that one task takes.
const PART: usize = 16 * 1024;

/// `values[i] = gelu(values[i])`.
pub fn gelu(values: &mut [f32]) {
    values.par_chunks_mut(PART).for_each(gelu_part);
}

/// `grad[i] *= gelu'(x[i])`.
pub fn gelu_backward(x: &[f32], grad: &mut [f32]) {
    grad.par_chunks_mut(PART).zip(x.par_chunks(PART)).for_each(|(grad, x)| gelu_backward_part(x, grad));
}

dispatch!(fn gelu_part(values: &mut [f32]) = gelu_lanes);

#[inline(always)]
fn gelu_lanes<V: Lanes>(values: &mut [f32]) {
    let (whole, rest) = values.as_chunks_mut::<LANES>();
    for lanes in whole {
        gelu_of(V::load(lanes)).store(lanes);
    }
    let mut lanes = [0.0; LANES];
    lanes[..rest.len()].copy_from_slice(rest);
    gelu_of(V::load(&lanes)).store(&mut lanes);
    rest.copy_from_slice(&lanes[..rest.len()]);
}

dispatch!(fn gelu_backward_part(x: &[f32], grad: &mut [f32]) = gelu_backward_lanes);

#[inline(always)]
fn gelu_backward_lanes<V: Lanes>(x: &[f32], grad: &mut [f32]) {
    let ((whole_x, rest_x), (whole, rest)) = (x.as_chunks::<LANES>(), grad.as_chunks_mut::<LANES>());
    for (x, grad) in whole_x.iter().zip(whole) {
        slope_of(V::load(x)).mul(V::load(grad)).store(grad);
    }
    let mut lanes = [0.0; LANES];
    lanes[..rest.len()].copy_from_slice(rest_x);
    slope_of(V::load(&lanes)).store(&mut lanes);
    for (grad, slope) in rest.iter_mut().zip(lanes) {
        *grad *= slope;
    }
}

#[inline(always)]
fn gelu_of<V: Lanes>(x: V) -> V {
    x.mul(normal_cdf(x))
}

#[inline(always)]
fn slope_of<V: Lanes>(x: V) -> V {
    let density = x.mul(x).mul(V::splat(-0.5)).exp().mul(V::splat(0.398_942_3));
    x.mul_add(density, normal_cdf(x))
}

/// (1 + erf(x / sqrt 2)) / 2, off by at most 2e-7.
#[inline(always)]
fn normal_cdf<V: Lanes>(x: V) -> V {
    // erf(z) / z in z^2, fitted by least squares with weights that level the relative error (2e-8) on 0..3.92;
    // beyond, erf is 1 in f32.
    const UPPER: [f32; 6] =
        [std::f32::consts::FRAC_2_SQRT_PI, 0.190_402_75, 0.052_748_255, 3.765_467e-3, 2.848_809e-4, 2.050_133_6e-6];
    const LOWER: [f32; 6] = [1.0, 0.502_072_8, 0.114_107_6, 0.014_968_912, 1.162_502_2e-3, 3.809_210_5e-5];
    let end = V::splat(3.92);
    let z = x.mul(V::splat(std::f32::consts::FRAC_1_SQRT_2));
    let z = z.min(end).max(V::splat(0.0).sub(end));
    let square = z.mul(z);
    let erf = z.mul(square.polynomial(&UPPER)).div(square.polynomial(&LOWER));
    let one = V::splat(1.0);
    let erf = erf.min(one).max(V::splat(-1.0));
    erf.mul_add(V::splat(0.5), V::splat(0.5))
}

#[cfg(test)]
mod tests {
    use super::{gelu, gelu_backward};

    /// erf by its Maclaurin series in f64, good to 1e-9 on -4..4.
    fn erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..120 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn it_follows_the_error_function() {
        let x: Vec<f32> = (-5_500..=5_500).map(|step| step as f32 * 1e-3).collect();
        let (mut y, mut slope) = (x.clone(), vec![1.0; x.len()]);
        gelu(&mut y);
        gelu_backward(&x, &mut slope);
        for ((&x, y), slope) in x.iter().zip(y).zip(slope) {
            let x = f64::from(x);
            let cdf = 0.5 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2));
            let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
            assert!((f64::from(y) - x * cdf).abs() < 1e-6, "gelu({x}) = {y}");
            assert!((f64::from(slope) - cdf - x * density).abs() < 1e-6, "gelu'({x}) = {slope}");
        }
    }

    #[test]
    fn the_ends_are_straight() {
        let mut y = [-1e30, -50.0, -0.0, 50.0, 1e30, f32::NAN];
        gelu(&mut y);
        assert_eq!(y[1..5], [0.0, 0.0, 50.0, 1e30].map(|v: f32| v));
        assert_eq!(y[0], 0.0);
        assert!(y[5].is_nan());
    }
}
