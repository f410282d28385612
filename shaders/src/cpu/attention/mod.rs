//! Attention on queries, keys and values where they lie, without a copy of them and without a matrix of all scores.
//!
//! A task takes one head, or some queries of it where there are few heads. The keys and values that it sees are packed
//! once, eight to a row of the `product`, unless it has a single block of queries, as in decoding. Then it takes 32 queries at
//! a time, side by side in the lanes: their scores against all keys stand as `[keys, 32]`, so that maximum, exponential and
//! sum run lane by lane, and the scores are the right operand of the second product as they stand. 32 columns of scores fit
//! the second-level cache up to some 4,000 keys. Keys that none of the 32 sees cost nothing.

mod backward;
mod geometry;
mod packed;
mod packing;
mod window;

use rayon::prelude::*;

use super::output::Output;
use super::product::{COLUMNS, ROWS, Tile, product};
use super::scratch::with_buffers;
use super::simd::{LANES, Lanes, dispatch};
pub use backward::attention_backward;
pub use geometry::{AttentionGeometry, Place, Placed};
pub use packed::{PackedGeometry, packed_attention, packed_attention_backward};
use packing::{Eights, columns};
use window::{Window, seen, share};

/// Tasks for each thread that heads are cut into where there are fewer: enough to even out masks.
const TASKS: usize = 4;

/// `q [batch, queries, heads, dim]`, `k` and `v [batch, keys, heads, dim]` to `[batch, queries, heads, dim]`, and the
/// logarithm of each softmax's denominator, `[batch, heads, queries]`, for the gradients. `log_weights [batch, keys]` are
/// added to the scores of each key.
pub fn attention(
    [q, k, v]: [Placed; 3],
    log_weights: Option<&[f32]>,
    geometry: &AttentionGeometry,
) -> (Vec<f32>, Vec<f32>) {
    let AttentionGeometry { batch, queries, keys: length, heads, dim, scale, .. } = *geometry;
    assert!(log_weights.is_none_or(|weights| weights.len() == batch * length));
    let mut y = vec![0.0; batch * queries * heads * dim];
    let mut logarithms = vec![0.0; batch * heads * queries];
    if y.is_empty() {
        return (y, logarithms);
    }
    let (to, place) = (Output::of(&mut y), Place::contiguous(queries, geometry.width()));
    let share = share(queries, batch * heads, TASKS * rayon::current_num_threads());
    let task = |head: usize, start: usize, logarithms: &mut [f32]| {
        with_buffers(|[keys, values, columns_of_q, scores, out, row]| {
            let seen = seen(geometry, start..start + logarithms.len());
            let once = logarithms.len() <= COLUMNS;
            let keys = Eights::positions(k.head(geometry, head), 0..seen, once, keys);
            let values = Eights::channels(v.head(geometry, head), 0..seen, once, values);
            for (block, logarithms) in logarithms.chunks_mut(COLUMNS).enumerate() {
                let (first, used) = (start + block * COLUMNS, logarithms.len());
                let window = Window::of(geometry, first..first + used);
                columns(q.head(geometry, head), first..first + used, scale, columns_of_q);
                score(&keys, columns_of_q, [dim, window.end, used], scores);
                let scores = &mut scores[..window.end * COLUMNS];
                if let Some(weights) = log_weights {
                    weigh(scores, &weights[head / heads * length..]);
                }
                window.hide(scores, 0, f32::NEG_INFINITY);
                let mut sums = [[0.0; COLUMNS]; 2];
                softmax(scores, &mut sums);
                window.hide(scores, 0, 0.0);
                let [maxima, sums] = sums;
                out.resize(dim.next_multiple_of(ROWS) * COLUMNS, 0.0);
                for (eight, tile) in tiles(out).enumerate() {
                    product(values.left(eight), (scores, COLUMNS), window.end, used, tile);
                }
                row.resize(dim, 0.0);
                for (column, logarithm) in logarithms.iter_mut().enumerate() {
                    *logarithm = maxima[column] + sums[column].ln();
                    let scale = 1.0 / sums[column];
                    for (value, out) in row.iter_mut().zip(out.chunks_exact(COLUMNS)) {
                        *value = out[column] * scale;
                    }
                    // SAFETY: only this task has these queries of this head, and it meets each once.
                    unsafe { to.write(place.at(geometry, head, first + column), row) };
                }
            }
        });
    };
    logarithms.par_chunks_mut(queries).enumerate().for_each(|(head, logarithms)| {
        let parts = logarithms.par_chunks_mut(share).enumerate();
        parts.for_each(|(part, logarithms)| task(head, part * share, logarithms));
    });
    (y, logarithms)
}

/// `keys [length, dim] * queries [dim, 32] -> scores [length, 32]`, rounded up to whole eights; only the first
/// `used` queries count, and keys behind `length` are left out.
fn score(keys: &Eights, queries: &[f32], [dim, length, used]: [usize; 3], scores: &mut Vec<f32>) {
    scores.resize(length.next_multiple_of(ROWS) * COLUMNS, 0.0);
    for (eight, tile) in tiles(scores).enumerate() {
        product(keys.left(eight), (queries, COLUMNS), dim, used, tile);
    }
}

/// Adds to the scores `[.., 32]` of each key its weight.
fn weigh(scores: &mut [f32], log_weights: &[f32]) {
    for (row, &weight) in scores.chunks_exact_mut(COLUMNS).zip(log_weights) {
        if weight != 0.0 {
            row.iter_mut().for_each(|score| *score += weight);
        }
    }
}

fn tiles(values: &mut [f32]) -> impl Iterator<Item = &mut Tile> {
    values.as_chunks_mut::<COLUMNS>().0.as_chunks_mut::<ROWS>().0.iter_mut()
}

dispatch!(
    /// Replaces scores by `e^(score - maximum)`; gives the maxima and the sums of the columns. A score of minus infinity
    /// adds nothing to a sum (`e^-87` beside at least 1), but is left as that `e^-87`.
    fn softmax(scores: &mut [f32], maxima_and_sums: &mut [[f32; COLUMNS]; 2]) = softmax_lanes
);

#[inline(always)]
fn softmax_lanes<V: Lanes>(scores: &mut [f32], maxima_and_sums: &mut [[f32; COLUMNS]; 2]) {
    let (rows, _) = scores.as_chunks_mut::<LANES>();
    let mut maxima = [V::splat(f32::NEG_INFINITY); COLUMNS / LANES];
    for row in rows.chunks_exact(COLUMNS / LANES) {
        for (maximum, lanes) in maxima.iter_mut().zip(row) {
            *maximum = maximum.max(V::load(lanes));
        }
    }
    let mut sums = [V::splat(0.0); COLUMNS / LANES];
    for row in rows.chunks_exact_mut(COLUMNS / LANES) {
        for ((lanes, maximum), sum) in row.iter_mut().zip(maxima).zip(&mut sums) {
            let power = V::load(lanes).sub(maximum).exp();
            *sum = sum.add(power);
            power.store(lanes);
        }
    }
    let [to_maxima, to_sums] = maxima_and_sums;
    for (to, lanes) in to_maxima.as_chunks_mut::<LANES>().0.iter_mut().zip(maxima) {
        lanes.store(to);
    }
    for (to, lanes) in to_sums.as_chunks_mut::<LANES>().0.iter_mut().zip(sums) {
        lanes.store(to);
    }
}
