//! CPU twin of `fsq.wgsl` and `fsq_codes.wgsl`, and the straight-through gradient.

use rayon::prelude::*;

use super::simd::{LANES, Lanes, dispatch};
use crate::fsq::FsqScale;

/// Rows that one task takes, a multiple of [`LANES`].
const ROWS: usize = 1024;

/// Makes codes of `z [rows, levels.len()]` in place and returns the indices.
pub fn fsq(z: &mut [f32], levels: &[u32]) -> Vec<i32> {
    let scales = Scales::of(levels);
    let dims = levels.len();
    let mut ids = vec![0; z.len() / dims];
    let parts = z.par_chunks_mut(ROWS * dims).zip(ids.par_chunks_mut(ROWS));
    parts.for_each(|(z, ids)| quantize(z, ids, levels, &scales));
    ids
}

/// Makes the gradient of the codes that of `z`.
pub fn fsq_backward(z: &[f32], grad: &mut [f32], levels: &[u32]) {
    let scales = Scales::of(levels);
    let part = ROWS * levels.len();
    grad.par_chunks_mut(part).zip(z.par_chunks(part)).for_each(|(grad, z)| slopes(z, grad, &scales));
}

/// The codes `[rows, levels.len()]` of indices.
pub fn fsq_codes(ids: &[i32], levels: &[u32]) -> Vec<f32> {
    let mut codes = vec![0.0; ids.len() * levels.len()];
    let parts = codes.par_chunks_mut(ROWS * levels.len()).zip(ids.par_chunks(ROWS));
    parts.for_each(|(codes, ids)| {
        for (codes, &id) in codes.chunks_exact_mut(levels.len()).zip(ids) {
            let mut rest = id as u32;
            for (code, &level) in codes.iter_mut().zip(levels) {
                let width = (level / 2) as f32;
                *code = ((rest % level) as f32 - width) / width;
                rest /= level;
            }
        }
    });
    codes
}

/// The constants of sixteen rows, value by value, which is a whole number of lanes whatever the dimensions.
struct Scales {
    half: Vec<[f32; LANES]>,
    offset: Vec<[f32; LANES]>,
    shift: Vec<[f32; LANES]>,
    width: Vec<[f32; LANES]>,
}

impl Scales {
    fn of(levels: &[u32]) -> Self {
        let scales: Vec<FsqScale> = levels.iter().map(|&level| FsqScale::of(level)).collect();
        let repeated = |value: fn(&FsqScale) -> f32| {
            let lane = |at: usize, lane: usize| value(&scales[(at * LANES + lane) % scales.len()]);
            (0..scales.len()).map(|at| std::array::from_fn(|i| lane(at, i))).collect()
        };
        Self {
            half: repeated(|scale| scale.half),
            offset: repeated(|scale| scale.offset),
            shift: repeated(|scale| scale.shift),
            width: repeated(|scale| scale.width),
        }
    }
}

dispatch!(fn quantize(z: &mut [f32], ids: &mut [i32], levels: &[u32], scales: &Scales) = quantize_lanes);

#[inline(always)]
fn quantize_lanes<V: Lanes>(z: &mut [f32], ids: &mut [i32], levels: &[u32], scales: &Scales) {
    let dims = levels.len();
    for (z, ids) in z.chunks_mut(LANES * dims).zip(ids.chunks_mut(LANES)) {
        let (whole, rest) = z.as_chunks_mut::<LANES>();
        let used = whole.len();
        for (at, lanes) in whole.iter_mut().enumerate() {
            round_lanes::<V>(lanes, at, scales);
        }
        if !rest.is_empty() {
            let mut lanes = [0.0; LANES];
            lanes[..rest.len()].copy_from_slice(rest);
            round_lanes::<V>(&mut lanes, used, scales);
            rest.copy_from_slice(&lanes[..rest.len()]);
        }
        for (z, id) in z.chunks_exact(dims).zip(&mut *ids) {
            let mut basis = 1i32;
            for (&whole, &level) in z.iter().zip(levels) {
                // Integers: the sum of a large codebook does not fit an f32.
                *id += (whole as i32 + (level / 2) as i32) * basis;
                basis = basis.wrapping_mul(level as i32);
            }
        }
        let (whole, rest) = z.as_chunks_mut::<LANES>();
        for (lanes, width) in whole.iter_mut().zip(&scales.width) {
            V::load(lanes).div(V::load(width)).store(lanes);
        }
        if let Some(width) = scales.width.get(used) {
            rest.iter_mut().zip(width).for_each(|(whole, width)| *whole /= width);
        }
    }
}

/// The nearest levels, half to even.
#[inline(always)]
fn round_lanes<V: Lanes>(lanes: &mut [f32; LANES], at: usize, scales: &Scales) {
    let raised = exponential(V::load(lanes).add(V::load(&scales.shift[at])));
    let one = V::splat(1.0);
    let tanh = raised.sub(one).div(raised.add(one));
    tanh.mul(V::load(&scales.half[at])).sub(V::load(&scales.offset[at])).store(lanes);
    *lanes = lanes.map(f32::round_ties_even);
}

/// e^(2x), with x kept in a range beyond which tanh is one.
#[inline(always)]
fn exponential<V: Lanes>(x: V) -> V {
    let x = V::splat(20.0).min(V::splat(-20.0).max(x));
    x.add(x).exp()
}

dispatch!(fn slopes(z: &[f32], grad: &mut [f32], scales: &Scales) = slopes_lanes);

/// With e = e^(2x): the derivative of tanh is 4 e / (1 + e)^2.
#[inline(always)]
fn slopes_lanes<V: Lanes>(z: &[f32], grad: &mut [f32], scales: &Scales) {
    let slope = |z: &[f32; LANES], at: usize| {
        let raised = exponential(V::load(z).add(V::load(&scales.shift[at])));
        let sum = raised.add(V::splat(1.0));
        let slope = V::splat(4.0).mul(raised.div(sum)).div(sum);
        slope.mul(V::load(&scales.half[at])).div(V::load(&scales.width[at]))
    };
    let dims = scales.half.len();
    let ((zs, z_rest), (grads, grad_rest)) = (z.as_chunks::<LANES>(), grad.as_chunks_mut::<LANES>());
    let whole = zs.len();
    for (at, (z, grad)) in zs.iter().zip(grads).enumerate() {
        slope(z, at % dims).mul(V::load(grad)).store(grad);
    }
    if !z_rest.is_empty() {
        let mut lanes = [0.0; LANES];
        lanes[..z_rest.len()].copy_from_slice(z_rest);
        slope(&lanes, whole % dims).store(&mut lanes);
        grad_rest.iter_mut().zip(lanes).for_each(|(grad, slope)| *grad *= slope);
    }
}

#[cfg(test)]
mod tests {
    use super::{Scales, round_lanes};
    use crate::cpu::simd::LANES;

    /// Where tanh is one, the bound is `half - offset`, here an exact half.
    #[test]
    fn halves_go_to_even_levels() {
        for (half, expected) in [(0.5, 0.0), (1.5, 2.0), (2.5, 2.0), (3.5, 4.0)] {
            let constant = |value: f32| vec![[value; LANES]];
            let scales =
                Scales { half: constant(half), offset: constant(0.0), shift: constant(0.0), width: constant(1.0) };
            let mut lanes = [100.0; LANES];
            round_lanes::<[f32; LANES]>(&mut lanes, 0, &scales);
            assert_eq!(lanes, [expected; LANES]);
            let mut lanes = [-100.0; LANES];
            round_lanes::<[f32; LANES]>(&mut lanes, 0, &scales);
            assert_eq!(lanes, [-expected; LANES]);
        }
    }
}
