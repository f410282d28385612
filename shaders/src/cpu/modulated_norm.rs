//! CPU twin of `modulated_norm.wgsl`, and its gradients: layer normalisation whose weights change with item and kind.

use rayon::prelude::*;

use super::layer_norm::{backward_rows, forward_rows};
use super::modulation::Modulation;

/// `norm(x) * (1 + scale) + shift` for `x [batch, length, channels]`.
pub fn modulated_norm(x: &[f32], shift: &[f32], scale: &[f32], modulation: Modulation, epsilon: f32) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    modulation.parts(&mut y).into_par_iter().for_each(|part| {
        let (gamma, shift) = (factor(scale, modulation, part.row), modulation.row(shift, part.row));
        forward_rows(&x[part.start..][..part.out.len()], &gamma, shift, epsilon, part.out);
    });
    y
}

/// Gradients of `x`, `shift` and `scale` from that of the output; the latter two are summed over the positions of a kind.
pub fn modulated_norm_backward(
    x: &[f32],
    scale: &[f32],
    grad: &[f32],
    modulation: Modulation,
    epsilon: f32,
) -> [Vec<f32>; 3] {
    let mut of_x = vec![0.0; x.len()];
    let channels = modulation.channels;
    let found = modulation.parts(&mut of_x).into_par_iter().map(|part| {
        let range = part.start..part.start + part.out.len();
        let gamma = factor(scale, modulation, part.row);
        let mut sums = vec![0.0; 2 * channels];
        backward_rows(&x[range.clone()], &gamma, &grad[range], epsilon, part.out, &mut sums);
        let of_shift = sums.split_off(channels);
        ((part.row, of_shift), (part.row, sums))
    });
    let (of_shift, of_scale) = found.collect::<Vec<_>>().into_iter().unzip();
    let rows = scale.len() / channels;
    [of_x, modulation.add_up(rows, of_shift), modulation.add_up(rows, of_scale)]
}

/// `1 + scale` of one row.
fn factor(scale: &[f32], modulation: Modulation, row: usize) -> Vec<f32> {
    modulation.row(scale, row).iter().map(|scale| 1.0 + scale).collect()
}
