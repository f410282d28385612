//! Self-attention read from the packed projection, without a copy of it and without a matrix of all scores.
//!
//! A task takes one head. Its keys and values are packed once, eight to a row of the `product`;
//! then 32 queries at a time, side by side in the lanes: their scores against all keys stand as `[length, 32]`, so
//! that maximum, exponential and sum run lane by lane, and the scores are the right operand of the second product
//! as they stand. 32 columns of scores fit the second-level cache up to some 4,000 keys.

mod backward;
mod packed;

use rayon::prelude::*;

use super::output::Output;
use super::product::{COLUMNS, Left, ROWS, Tile, product};
use super::scratch::with_buffers;
use super::simd::{LANES, Lanes, dispatch};
pub use backward::attention_backward;
pub use packed::AttentionGeometry;
use packed::{Part, eights, eights_across};

/// `qkv [batch, length, 3, heads, dim] -> [batch, length, heads, dim]`, and the logarithm of each softmax's
/// denominator, `[batch, heads, length]`, for the gradients.
pub fn attention(qkv: &[f32], geometry: &AttentionGeometry) -> (Vec<f32>, Vec<f32>) {
    let AttentionGeometry { batch, length, heads, dim } = *geometry;
    let mut y = vec![0.0; batch * length * heads * dim];
    let mut logarithms = vec![0.0; batch * heads * length];
    if y.is_empty() {
        return (y, logarithms);
    }
    let to = Output::of(&mut y);
    logarithms.par_chunks_mut(length).enumerate().for_each(|(head, logarithms)| {
        with_buffers(|[keys, values, queries, scores, out]| {
            let part = |part: Part| geometry.part(part, head);
            eights(qkv, part(Part::Keys), geometry, keys);
            eights_across(qkv, part(Part::Values), geometry, values);
            let depth = length;
            for (block, logarithms) in logarithms.chunks_mut(COLUMNS).enumerate() {
                let first = block * COLUMNS;
                packed::columns(qkv, part(Part::Queries), geometry, first, geometry.scale(), queries);
                let used = logarithms.len();
                score(keys, queries, [dim, length, used], scores);
                let mut sums = [[0.0; COLUMNS]; 2];
                softmax(&mut scores[..length * COLUMNS], &mut sums);
                let [maxima, sums] = sums;
                out.resize(dim.next_multiple_of(ROWS) * COLUMNS, 0.0);
                for (values, tile) in values.chunks_exact(depth * ROWS).zip(tiles(out)) {
                    product(Left::packed(values), (scores, COLUMNS), depth, used, tile);
                }
                let mut row = vec![0.0; dim];
                for (column, logarithm) in logarithms.iter_mut().enumerate() {
                    *logarithm = maxima[column] + sums[column].ln();
                    let scale = 1.0 / sums[column];
                    for (d, value) in row.iter_mut().enumerate() {
                        *value = out[d * COLUMNS + column] * scale;
                    }
                    let at = geometry.output(head, first + column);
                    // SAFETY: only this task has this head, and it meets each query once.
                    unsafe { to.write(at, &row) };
                }
            }
        });
    });
    (y, logarithms)
}

/// `keys [length / 8, dim, 8] * queries [dim, 32] -> scores [length, 32]`, rounded up to whole eights; only the first
/// `used` queries count.
fn score(keys: &[f32], queries: &[f32], [dim, length, used]: [usize; 3], scores: &mut Vec<f32>) {
    scores.resize(length.next_multiple_of(ROWS) * COLUMNS, 0.0);
    for (keys, tile) in keys.chunks_exact(dim * ROWS).zip(tiles(scores)) {
        product(Left::packed(keys), (queries, COLUMNS), dim, used, tile);
    }
}

fn tiles(values: &mut [f32]) -> impl Iterator<Item = &mut Tile> {
    values.as_chunks_mut::<COLUMNS>().0.as_chunks_mut::<ROWS>().0.iter_mut()
}

dispatch!(
    /// Replaces scores by `e^(score - maximum)`; gives the maxima and the sums of the columns.
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
