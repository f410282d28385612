//! silu(gate) * up, and its gradients.

use rayon::prelude::*;

use super::simd::{LANES, Lanes, dispatch};

/// Values that one task takes.
const PART: usize = 16 * 1024;

/// `gate[i] = silu(gate[i]) * up[i]`.
pub fn swiglu(gate: &mut [f32], up: &[f32]) {
    gate.par_chunks_mut(PART).zip(up.par_chunks(PART)).for_each(|(gate, up)| forward(gate, up));
}

/// Makes the gradient of the output that of `gate`, and returns that of `up`.
pub fn swiglu_backward(gate: &[f32], up: &[f32], grad: &mut [f32]) -> Vec<f32> {
    let mut of_up = vec![0.0; up.len()];
    let inputs = gate.par_chunks(PART).zip(up.par_chunks(PART));
    let outputs = grad.par_chunks_mut(PART).zip(of_up.par_chunks_mut(PART));
    inputs.zip(outputs).for_each(|((gate, up), (grad, of_up))| backward(gate, up, grad, of_up));
    of_up
}

dispatch!(fn forward(gate: &mut [f32], up: &[f32]) = forward_lanes);

#[inline(always)]
fn forward_lanes<V: Lanes>(gate: &mut [f32], up: &[f32]) {
    let ((gates, gate_rest), (ups, up_rest)) = (gate.as_chunks_mut::<LANES>(), up.as_chunks::<LANES>());
    for (gate, up) in gates.iter_mut().zip(ups) {
        let x = V::load(gate);
        x.mul(V::load(up)).mul(sigmoid(x)).store(gate);
    }
    let (mut gate, up) = (padded(gate_rest), padded(up_rest));
    let x = V::load(&gate);
    x.mul(V::load(&up)).mul(sigmoid(x)).store(&mut gate);
    gate_rest.copy_from_slice(&gate[..gate_rest.len()]);
}

dispatch!(fn backward(gate: &[f32], up: &[f32], grad: &mut [f32], of_up: &mut [f32]) = backward_lanes);

#[inline(always)]
fn backward_lanes<V: Lanes>(gate: &[f32], up: &[f32], grad: &mut [f32], of_up: &mut [f32]) {
    let ((gates, gate_rest), (ups, up_rest)) = (gate.as_chunks::<LANES>(), up.as_chunks::<LANES>());
    let ((grads, grad_rest), (of_ups, of_rest)) = (grad.as_chunks_mut::<LANES>(), of_up.as_chunks_mut::<LANES>());
    for (((gate, up), grad), of_up) in gates.iter().zip(ups).zip(grads).zip(of_ups) {
        slopes::<V>(gate, up, grad, of_up);
    }
    let (mut grad, mut of_up) = (padded(grad_rest), [0.0; LANES]);
    slopes::<V>(&padded(gate_rest), &padded(up_rest), &mut grad, &mut of_up);
    grad_rest.copy_from_slice(&grad[..grad_rest.len()]);
    of_rest.copy_from_slice(&of_up[..of_rest.len()]);
}

/// With s = sigmoid(g): silu'(g) = s + g s (1 - s).
#[inline(always)]
fn slopes<V: Lanes>(gate: &[f32; LANES], up: &[f32; LANES], grad: &mut [f32; LANES], of_up: &mut [f32; LANES]) {
    let (gate, given) = (V::load(gate), V::load(grad));
    let sigmoid = sigmoid(gate);
    let silu = gate.mul(sigmoid);
    given.mul(silu).store(of_up);
    let slope = silu.mul_add(V::splat(1.0).sub(sigmoid), sigmoid);
    given.mul(V::load(up)).mul(slope).store(grad);
}

#[inline(always)]
fn sigmoid<V: Lanes>(x: V) -> V {
    let one = V::splat(1.0);
    one.div(one.add(V::splat(0.0).sub(x).exp()))
}

#[inline(always)]
fn padded(rest: &[f32]) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    lanes[..rest.len()].copy_from_slice(rest);
    lanes
}
