//! Gradients of attention; the scores are computed again rather than kept.

use rayon::prelude::*;

use super::packed::{AttentionGeometry, Part, columns, eights, eights_across, rows};
use super::{score, tiles};
use crate::cpu::output::Output;
use crate::cpu::product::{COLUMNS, Left, ROWS, product};
use crate::cpu::scratch::with_buffers;
use crate::cpu::simd::{LANES, Lanes, dispatch};

/// The gradient of `qkv [batch, length, 3, heads, dim]` from that of the output, given the output and the
/// logarithms that [`attention`](super::attention) gave.
///
/// With p the softmax's rows and g the output's gradient: `dv = p^T g`, `ds = p * (g v^T - sum(g * y))`,
/// `dq = ds k`, `dk = ds^T q`.
pub fn attention_backward(
    qkv: &[f32],
    y: &[f32],
    logarithms: &[f32],
    grad: &[f32],
    geometry: &AttentionGeometry,
) -> Vec<f32> {
    let AttentionGeometry { length, dim, .. } = *geometry;
    let mut of_qkv = vec![0.0; qkv.len()];
    if qkv.is_empty() {
        return of_qkv;
    }
    let (to, padded) = (Output::of(&mut of_qkv), dim.next_multiple_of(COLUMNS));
    let put = |part: Part, head: usize, position: usize, row: &[f32]| {
        let (start, stride) = geometry.part(part, head);
        // SAFETY: only the task of this head calls this, with each part and position once.
        unsafe { to.write(start + position * stride, row) };
    };
    logarithms.par_chunks(length).enumerate().for_each(|(head, logarithms)| {
        with_buffers(|buffers: &mut [Vec<f32>; 12]| {
            let [keys, keys_across, values, q, g, q_rows, g_rows, p, s, of_q, of_k, of_v] = buffers;
            let part = |part: Part| geometry.part(part, head);
            eights(qkv, part(Part::Keys), geometry, keys);
            eights_across(qkv, part(Part::Keys), geometry, keys_across);
            eights(qkv, part(Part::Values), geometry, values);
            for sums in [&mut *of_k, &mut *of_v] {
                sums.clear();
                sums.resize(length.next_multiple_of(ROWS) * padded, 0.0);
            }
            for (block, logarithms) in logarithms.chunks(COLUMNS).enumerate() {
                let first = block * COLUMNS;
                columns(qkv, part(Part::Queries), geometry, first, geometry.scale(), q);
                rows(qkv, part(Part::Queries), geometry, first, geometry.scale(), q_rows);
                columns(grad, geometry.head(head), geometry, first, 1.0, g);
                rows(grad, geometry.head(head), geometry, first, 1.0, g_rows);
                let used = logarithms.len();
                score(keys, q, [dim, length, used], p);
                score(values, g, [dim, length, used], s);
                let mut shifts = [[0.0; COLUMNS]; 2];
                for (column, &logarithm) in logarithms.iter().enumerate() {
                    let y = &y[geometry.output(head, first + column)..][..dim];
                    let grad = &grad[geometry.output(head, first + column)..][..dim];
                    shifts[0][column] = logarithm;
                    shifts[1][column] = y.iter().zip(grad).map(|(y, grad)| y * grad).sum();
                }
                slopes(p, s, &shifts);
                // Rounding up to eight left rows of keys that do not exist, which must not count.
                p[length * COLUMNS..].fill(0.0);
                s[length * COLUMNS..].fill(0.0);
                add(p, g_rows, padded, of_v);
                add(s, q_rows, padded, of_k);

                of_q.resize(dim.next_multiple_of(ROWS) * COLUMNS, 0.0);
                for (keys, tile) in keys_across.chunks_exact(length * ROWS).zip(tiles(of_q)) {
                    product(Left::packed(keys), (s, COLUMNS), length, used, tile);
                }
                let mut row = vec![0.0; dim];
                for column in 0..logarithms.len() {
                    for (d, value) in row.iter_mut().enumerate() {
                        *value = of_q[d * COLUMNS + column] * geometry.scale();
                    }
                    put(Part::Queries, head, first + column, &row);
                }
            }
            for position in 0..length {
                put(Part::Keys, head, position, &of_k[position * padded..][..dim]);
                put(Part::Values, head, position, &of_v[position * padded..][..dim]);
            }
        });
    });
    of_qkv
}

/// `sums [keys, width] += scores [keys, 32] * rows [32, width]`.
fn add(scores: &[f32], rows: &[f32], width: usize, sums: &mut [f32]) {
    for (scores, sums) in scores.chunks_exact(ROWS * COLUMNS).zip(sums.chunks_exact_mut(ROWS * width)) {
        let mut turned = [0.0; ROWS * COLUMNS];
        for (row, scores) in scores.chunks_exact(COLUMNS).enumerate() {
            for (column, &score) in scores.iter().enumerate() {
                turned[column * ROWS + row] = score;
            }
        }
        for from in (0..width).step_by(COLUMNS) {
            let mut tile = [[0.0; COLUMNS]; ROWS];
            product(Left::packed(&turned), (&rows[from..], width), COLUMNS, COLUMNS, &mut tile);
            for (row, tile) in tile.iter().enumerate() {
                let sums = &mut sums[row * width + from..][..COLUMNS];
                sums.iter_mut().zip(tile).for_each(|(sum, value)| *sum += value);
            }
        }
    }
}

dispatch!(
    /// `p = e^(p - shifts[0])`, `s = p * (s - shifts[1])`, column by column.
    fn slopes(p: &mut [f32], s: &mut [f32], shifts: &[[f32; COLUMNS]; 2]) = slopes_lanes
);

#[inline(always)]
fn slopes_lanes<V: Lanes>(p: &mut [f32], s: &mut [f32], shifts: &[[f32; COLUMNS]; 2]) {
    let (shifts_p, _) = shifts[0].as_chunks::<LANES>();
    let (shifts_s, _) = shifts[1].as_chunks::<LANES>();
    let (p, s) = (p.as_chunks_mut::<LANES>().0, s.as_chunks_mut::<LANES>().0);
    let rows = p.chunks_exact_mut(COLUMNS / LANES).zip(s.chunks_exact_mut(COLUMNS / LANES));
    for (p, s) in rows {
        for (((p, s), shift_p), shift_s) in p.iter_mut().zip(s).zip(shifts_p).zip(shifts_s) {
            let power = V::load(p).sub(V::load(shift_p)).exp();
            power.store(p);
            power.mul(V::load(s).sub(V::load(shift_s))).store(s);
        }
    }
}
