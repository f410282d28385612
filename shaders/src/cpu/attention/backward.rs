//! Gradients of attention; the scores are computed again rather than kept.

use std::ops::Range;

use rayon::prelude::*;

use super::geometry::{AttentionGeometry, Place, Placed};
use super::packing::{Eights, columns, rows};
use super::window::{Window, seen, share};
use super::{TASKS, score, tiles};
use crate::cpu::output::Output;
use crate::cpu::product::{COLUMNS, Left, ROWS, product};
use crate::cpu::scratch::with_buffers;
use crate::cpu::simd::{LANES, Lanes, dispatch};

/// The gradients of queries, keys and values, each without gaps, from that of the output, given the output and the
/// logarithms that [`attention`](super::attention) gave.
///
/// With p the softmax's rows and g the output's gradient: `dv = p^T g`, `ds = p * (g v^T - sum(g * y))`,
/// `dq = ds k`, `dk = ds^T q`.
pub fn attention_backward(
    inputs: [Placed; 3],
    y: &[f32],
    logarithms: &[f32],
    grad: &[f32],
    geometry: &AttentionGeometry,
) -> [Vec<f32>; 3] {
    let lengths = [geometry.queries, geometry.keys, geometry.keys];
    let mut to = lengths.map(|length| vec![0.0; geometry.batch * length * geometry.width()]);
    let [of_q, of_k, of_v] = to.each_mut().map(|to| Output::of(to));
    let [of_queries, of_keys] = [geometry.queries, geometry.keys].map(|n| Place::contiguous(n, geometry.width()));
    let places = [(of_q, of_queries), (of_k, of_keys), (of_v, of_keys)];
    gradients(inputs, [y, logarithms, grad], geometry, places);
    to
}

/// Part of a head's gradients: what `queries` give to the gradients of `keys`, and the other way round. A sum is never
/// cut in two, so that it comes out the same however a head is shared out.
struct Task {
    head: usize,
    queries: Range<usize>,
    keys: Range<usize>,
    /// Whether to give the gradients of the queries, which takes all keys.
    of_queries: bool,
    /// Whether to give those of keys and values, which takes all queries.
    of_keys: bool,
}

/// A head each, or where there are fewer heads than threads, parts of one: its scores are then computed twice.
fn tasks(geometry: &AttentionGeometry) -> Vec<Task> {
    let AttentionGeometry { batch, queries, keys, heads, .. } = *geometry;
    let (heads, threads) = (batch * heads, rayon::current_num_threads());
    if heads >= threads {
        let whole = |head| Task { head, queries: 0..queries, keys: 0..keys, of_queries: true, of_keys: true };
        return (0..heads).map(whole).collect();
    }
    let parts = |length: usize| {
        let share = share(length, heads, TASKS * threads);
        (0..length).step_by(share).map(move |first| first..(first + share).min(length))
    };
    let of_queries = |head| {
        parts(queries).map(move |part| Task { head, queries: part, keys: 0..keys, of_queries: true, of_keys: false })
    };
    let of_keys = |head| {
        parts(keys).map(move |part| Task { head, queries: 0..queries, keys: part, of_queries: false, of_keys: true })
    };
    (0..heads).flat_map(|head| of_keys(head).chain(of_queries(head))).collect()
}

/// Writes the three gradients where `to` says. Keys that no query sees get none: zeros should be there.
pub(super) fn gradients(
    [q, k, v]: [Placed; 3],
    [y, logarithms, grad]: [&[f32]; 3],
    geometry: &AttentionGeometry,
    [to_q, to_k, to_v]: [(Output, Place); 3],
) {
    if y.is_empty() {
        return;
    }
    let (dim, scale) = (geometry.dim, geometry.scale);
    let padded = dim.next_multiple_of(COLUMNS);
    let output = Place::contiguous(geometry.queries, geometry.width());
    let put = |(to, place): (Output, Place), head: usize, position: usize, row: &[f32]| {
        // SAFETY: one task has this position of this head, for each of the three, and it calls this once.
        unsafe { to.write(place.at(geometry, head, position), row) };
    };
    tasks(geometry).into_par_iter().for_each(|Task { head, queries, keys: of, of_queries, of_keys }| {
        let of = of.start..of.end.min(seen(geometry, queries.clone()));
        if of.is_empty() {
            return;
        }
        let [q, k, v] = [q, k, v].map(|input| input.head(geometry, head));
        let [y, grad] = [y, grad].map(|values| Placed { values, place: output }.head(geometry, head));
        let logarithms = &logarithms[head * geometry.queries..][..geometry.queries];
        with_buffers(|buffers: &mut [Vec<f32>; 13]| {
            let [keys, keys_across, values, q_columns, g_columns, q_rows, g_rows, p, s, of_q, of_k, of_v, row] =
                buffers;
            let keys = Eights::positions(k, of.clone(), false, keys);
            let values = Eights::positions(v, of.clone(), false, values);
            let keys_across = of_queries.then(|| Eights::channels(k, of.clone(), false, keys_across));
            if of_keys {
                for sums in [&mut *of_k, &mut *of_v] {
                    sums.clear();
                    sums.resize(of.len().next_multiple_of(ROWS) * padded, 0.0);
                }
            }
            for first in queries.clone().step_by(COLUMNS) {
                let block = first..(first + COLUMNS).min(queries.end);
                let used = block.len();
                let window = Window::of(geometry, block.clone());
                let length = window.end.min(of.end).saturating_sub(of.start);
                if length == 0 {
                    continue;
                }
                columns(q, block.clone(), scale, q_columns);
                columns(grad, block.clone(), 1.0, g_columns);
                score(&keys, q_columns, [dim, length, used], p);
                score(&values, g_columns, [dim, length, used], s);
                let mut shifts = [[0.0; COLUMNS]; 2];
                for (column, query) in block.clone().enumerate() {
                    shifts[0][column] = logarithms[query];
                    shifts[1][column] = y.row(query).iter().zip(grad.row(query)).map(|(y, grad)| y * grad).sum();
                }
                slopes(p, s, &shifts);
                for scores in [&mut *p, &mut *s] {
                    window.hide(scores, of.start, 0.0);
                    // Rounding up to eight left rows of keys that do not exist, which must not count.
                    scores[length * COLUMNS..].fill(0.0);
                }
                if of_keys {
                    rows(q, block.clone(), scale, q_rows);
                    rows(grad, block.clone(), 1.0, g_rows);
                    add(p, g_rows, padded, of_v);
                    add(s, q_rows, padded, of_k);
                }
                if let Some(keys) = &keys_across {
                    of_q.resize(dim.next_multiple_of(ROWS) * COLUMNS, 0.0);
                    for (eight, tile) in tiles(of_q).enumerate() {
                        product(keys.left(eight), (s, COLUMNS), length, used, tile);
                    }
                    row.resize(dim, 0.0);
                    for (column, query) in block.enumerate() {
                        for (value, of_q) in row.iter_mut().zip(of_q.chunks_exact(COLUMNS)) {
                            *value = of_q[column] * scale;
                        }
                        put(to_q, head, query, row);
                    }
                }
            }
            if of_keys {
                for (sums, key) in of_k.chunks_exact(padded).zip(of.clone()) {
                    put(to_k, head, key, &sums[..dim]);
                }
                for (sums, key) in of_v.chunks_exact(padded).zip(of.clone()) {
                    put(to_v, head, key, &sums[..dim]);
                }
            }
        });
    });
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
