//! The gated residual, and its gradients.

use rayon::prelude::*;

use super::modulation::Modulation;
use super::simd::{LANES, Lanes, dispatch};

/// `x + gate * y` for `x`, `y [batch, length, channels]`.
pub fn gated_add(x: &[f32], y: &[f32], gate: &[f32], modulation: Modulation) -> Vec<f32> {
    let mut sum = vec![0.0; x.len()];
    modulation.parts(&mut sum).into_par_iter().for_each(|part| {
        let range = part.start..part.start + part.out.len();
        part.out.copy_from_slice(&x[range.clone()]);
        add_rows(part.out, &y[range], modulation.row(gate, part.row));
    });
    sum
}

/// As [`gated_add`], in place of `x`.
pub fn gated_add_in_place(x: &mut [f32], y: &[f32], gate: &[f32], modulation: Modulation) {
    modulation.parts(x).into_par_iter().for_each(|part| {
        add_rows(part.out, &y[part.start..][..part.out.len()], modulation.row(gate, part.row));
    });
}

/// Gradients of `y` and `gate` from that of the output, which is also that of `x`.
pub fn gated_add_backward(y: &[f32], gate: &[f32], grad: &[f32], modulation: Modulation) -> [Vec<f32>; 2] {
    let mut of_y = vec![0.0; y.len()];
    let found = modulation.parts(&mut of_y).into_par_iter().map(|part| {
        let range = part.start..part.start + part.out.len();
        let mut of_gate = vec![0.0; modulation.channels];
        let gate = modulation.row(gate, part.row);
        backward_rows(&y[range.clone()], gate, &grad[range], part.out, &mut of_gate);
        (part.row, of_gate)
    });
    let found = found.collect();
    let of_gate = modulation.add_up(gate.len() / modulation.channels, found);
    [of_y, of_gate]
}

dispatch!(fn add_rows(x: &mut [f32], y: &[f32], gate: &[f32]) = add_lanes);

#[inline(always)]
fn add_lanes<V: Lanes>(x: &mut [f32], y: &[f32], gate: &[f32]) {
    for (x, y) in x.chunks_exact_mut(gate.len()).zip(y.chunks_exact(gate.len())) {
        let (xs, ys, gates) = (x.as_chunks_mut::<LANES>(), y.as_chunks::<LANES>(), gate.as_chunks::<LANES>());
        for ((x, y), gate) in xs.0.iter_mut().zip(ys.0).zip(gates.0) {
            V::load(gate).mul_add(V::load(y), V::load(x)).store(x);
        }
        for ((x, y), gate) in xs.1.iter_mut().zip(ys.1).zip(gates.1) {
            *x += gate * y;
        }
    }
}

dispatch!(
    fn backward_rows(y: &[f32], gate: &[f32], grad: &[f32], of_y: &mut [f32], of_gate: &mut [f32]) = backward_lanes
);

#[inline(always)]
fn backward_lanes<V: Lanes>(y: &[f32], gate: &[f32], grad: &[f32], of_y: &mut [f32], of_gate: &mut [f32]) {
    let width = gate.len();
    let rows = y.chunks_exact(width).zip(grad.chunks_exact(width)).zip(of_y.chunks_exact_mut(width));
    for ((y, grad), of_y) in rows {
        let (ys, grads, gates) = (y.as_chunks::<LANES>(), grad.as_chunks::<LANES>(), gate.as_chunks::<LANES>());
        let (of_ys, of_gates) = (of_y.as_chunks_mut::<LANES>(), of_gate.as_chunks_mut::<LANES>());
        let lanes = ys.0.iter().zip(grads.0).zip(gates.0).zip(of_ys.0).zip(of_gates.0);
        for ((((y, grad), gate), of_y), of_gate) in lanes {
            let grad = V::load(grad);
            grad.mul(V::load(gate)).store(of_y);
            grad.mul_add(V::load(y), V::load(of_gate)).store(of_gate);
        }
        let rest = ys.1.iter().zip(grads.1).zip(gates.1).zip(of_ys.1).zip(of_gates.1);
        for ((((y, grad), gate), of_y), of_gate) in rest {
            *of_y = grad * gate;
            *of_gate += grad * y;
        }
    }
}
