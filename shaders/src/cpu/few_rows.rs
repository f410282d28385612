//! Matrix product of few rows, as a step of decoding has them: bound by reading the weight, so each of its values is read once.
//!
//! A checkpoint's weight is a transposed view: the values of an output lie side by side. Four outputs meet four rows at a time; sixteen
//! sums stay in registers, and where there are more rows the four outputs stay in the first-level cache.

use half::f16;

use super::linear::Strided;
use super::simd::{LANES, Lanes, dispatch};

/// A number of a weight.
pub(crate) trait Weight: Copy + Send + Sync {
    fn load<V: Lanes>(from: &[Self; LANES]) -> V;
    fn value(self) -> f32;
}

impl Weight for f32 {
    #[inline(always)]
    fn load<V: Lanes>(from: &[Self; LANES]) -> V {
        V::load(from)
    }

    #[inline(always)]
    fn value(self) -> f32 {
        self
    }
}

impl Weight for f16 {
    #[inline(always)]
    fn load<V: Lanes>(from: &[Self; LANES]) -> V {
        V::load_half(from)
    }

    #[inline(always)]
    fn value(self) -> f32 {
        self.to_f32()
    }
}

/// Rows and outputs of a tile.
const TILE: usize = 4;
/// Vectors of outputs side by side, where outputs lie so.
const VECTORS: usize = 4;

dispatch!(
    /// `y[row * outputs.len() + i] = sum over k of x[row * depth + k] * weight[k, outputs.start + i]`, for `x [rows, depth]` and
    /// `y [rows, outputs.len()]`.
    pub(crate) fn few_rows(x: &[f32], weight: Strided, depth: usize, outputs: std::ops::Range<usize>, y: &mut [f32]) = few_rows_lanes
);

dispatch!(
    /// [`few_rows`] of a weight `[outputs, depth]` in half precision, row by row; sums are f32.
    pub(crate) fn few_rows_half(x: &[f32], weight: &[f16], depth: usize, outputs: std::ops::Range<usize>, y: &mut [f32]) = few_rows_half_lanes
);

#[inline(always)]
fn few_rows_half_lanes<V: Lanes>(
    x: &[f32],
    weight: &[f16],
    depth: usize,
    outputs: std::ops::Range<usize>,
    y: &mut [f32],
) {
    along::<V, f16>(x, (weight, depth), [x.len() / depth.max(1), depth], outputs, y);
}

#[inline(always)]
fn few_rows_lanes<V: Lanes>(x: &[f32], weight: Strided, depth: usize, outputs: std::ops::Range<usize>, y: &mut [f32]) {
    let rows = x.len() / depth.max(1);
    match weight.strides {
        [1, stride] => along::<V, f32>(x, (weight.values, stride), [rows, depth], outputs, y),
        [_, 1] => across::<V>(x, weight, [rows, depth], outputs, y),
        [step, stride] => {
            let count = outputs.len();
            for (row, x) in x.chunks_exact(depth).enumerate() {
                for (at, output) in outputs.clone().enumerate() {
                    let from = weight.values[output * stride..].iter().step_by(step);
                    y[row * count + at] = x.iter().zip(from).map(|(x, weight)| x * weight).sum();
                }
            }
        }
    }
}

/// The values of an output lie side by side, so many values from the output before.
#[inline(always)]
fn along<V: Lanes, W: Weight>(
    x: &[f32],
    (weight, stride): (&[W], usize),
    [rows, depth]: [usize; 2],
    outputs: std::ops::Range<usize>,
    y: &mut [f32],
) {
    let count = outputs.len();
    let line = |output: usize| &weight[output * stride..][..depth];
    let row = |row: usize| &x[row * depth..][..depth];
    for at in (0..count).step_by(TILE) {
        // Behind the last row or output the last one is taken again: what it gives is not kept.
        let lines: [&[W]; TILE] = std::array::from_fn(|i| line(outputs.start + (at + i).min(count - 1)));
        for first in (0..rows).step_by(TILE) {
            let mut keep = |tile: &[&[f32]], found: &[[f32; TILE]]| {
                for (i, found) in found.iter().enumerate().take(tile.len()) {
                    for (j, value) in found.iter().enumerate().take(TILE.min(count - at)) {
                        y[(first + i) * count + at + j] = *value;
                    }
                }
            };
            match rows - first {
                1 => keep(&[row(first)], &dots::<V, W, 1>([row(first)], lines)),
                2 => keep(&[row(first), row(first + 1)], &dots::<V, W, 2>([row(first), row(first + 1)], lines)),
                3 => {
                    let tile = [row(first), row(first + 1), row(first + 2)];
                    keep(&tile, &dots::<V, W, 3>(tile, lines));
                }
                _ => {
                    let tile: [&[f32]; TILE] = std::array::from_fn(|i| row(first + i));
                    keep(&tile, &dots::<V, W, TILE>(tile, lines));
                }
            }
        }
    }
}

/// Products of `N` rows with four outputs. Loops instead of `array::from_fn`, whose closures are not inlined into functions with
/// features of their own.
#[inline(always)]
fn dots<V: Lanes, W: Weight, const N: usize>(rows: [&[f32]; N], lines: [&[W]; TILE]) -> [[f32; TILE]; N] {
    let whole = lines[0].len() / LANES;
    let mut row_parts: [&[[f32; LANES]]; N] = [&[]; N];
    for (part, row) in row_parts.iter_mut().zip(rows) {
        *part = &row.as_chunks::<LANES>().0[..whole];
    }
    let [a, b, c, d] = lines;
    let parts = |line: &'_ [W]| line.as_chunks::<LANES>().0.as_ptr();
    let [a, b, c, d] = [parts(a), parts(b), parts(c), parts(d)];
    assert!(lines.iter().all(|line| line.len() >= whole * LANES));
    let mut sums = [[V::splat(0.0); TILE]; N];
    for at in 0..whole {
        // SAFETY: every line was just found to have `whole` vectors.
        let weights =
            unsafe { [W::load(&*a.add(at)), W::load(&*b.add(at)), W::load(&*c.add(at)), W::load(&*d.add(at))] };
        for (sums, part) in sums.iter_mut().zip(&row_parts) {
            // SAFETY: every part was cut to `whole` vectors.
            let values = V::load(unsafe { part.get_unchecked(at) });
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = values.mul_add(weight, *sum);
            }
        }
    }
    let mut found = [[0.0; TILE]; N];
    for ((found, sums), row) in found.iter_mut().zip(sums).zip(rows) {
        for ((found, sum), line) in found.iter_mut().zip(sums).zip(lines) {
            let mut total = sum.sum();
            for (x, weight) in row[whole * LANES..].iter().zip(&line[whole * LANES..]) {
                total += x * weight.value();
            }
            *found = total;
        }
    }
    found
}

/// Outputs lie side by side.
#[inline(always)]
fn across<V: Lanes>(
    x: &[f32],
    weight: Strided,
    [rows, depth]: [usize; 2],
    outputs: std::ops::Range<usize>,
    y: &mut [f32],
) {
    let (count, step) = (outputs.len(), weight.strides[0]);
    let wide = count / (VECTORS * LANES) * (VECTORS * LANES);
    for row in 0..rows {
        let x = &x[row * depth..][..depth];
        let y = &mut y[row * count..][..count];
        for (block, y) in y[..wide].as_chunks_mut::<{ VECTORS * LANES }>().0.iter_mut().enumerate() {
            let mut sums = [V::splat(0.0); VECTORS];
            for (k, &value) in x.iter().enumerate() {
                let from = &weight.values[k * step + outputs.start + block * VECTORS * LANES..][..VECTORS * LANES];
                let value = V::splat(value);
                for (sum, from) in sums.iter_mut().zip(from.as_chunks::<LANES>().0) {
                    *sum = value.mul_add(V::load(from), *sum);
                }
            }
            for (sum, y) in sums.into_iter().zip(y.as_chunks_mut::<LANES>().0) {
                sum.store(y);
            }
        }
        y[wide..].fill(0.0);
        for (k, &value) in x.iter().enumerate() {
            let from = &weight.values[k * step + outputs.start + wide..][..count - wide];
            y[wide..].iter_mut().zip(from).for_each(|(y, weight)| *y += value * weight);
        }
    }
}
