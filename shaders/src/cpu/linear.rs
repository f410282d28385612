//! Matrix product with a bias: rows of a tensor times a weight of any strides.
//!
//! The rows are packed once, 32 to a block; the weight is read where it lies, eight outputs at a time, and its eight rows
//! stay in the first-level cache while they meet the blocks of a task, which stay in the second-level cache.

use std::borrow::Cow;

use half::f16;
use half::slice::HalfFloatSliceExt as _;
use rayon::prelude::*;

use super::few_rows::{few_rows, few_rows_half};
use super::output::Output;
use super::product::{COLUMNS, Left, ROWS, Tile, product};
use super::simd::{LANES, Lanes, dispatch};

/// A matrix inside a slice: value `[i, j]` stands at `i * strides[0] + j * strides[1]`.
#[derive(Debug, Clone, Copy)]
pub struct Strided<'a> {
    /// The values.
    pub values: &'a [f32],
    /// Distances from row to row and from column to column.
    pub strides: [usize; 2],
}

impl Strided<'_> {
    fn holds(&self, rows: usize, columns: usize) -> bool {
        self.values.len() > (rows - 1) * self.strides[0] + (columns - 1) * self.strides[1]
    }
}

/// Bytes of packed rows that a task goes through again and again: half a second-level cache.
const RESIDENT: usize = 512 * 1024;
/// Rows behind the last whole block that go through [`few_rows`]; more of them make a block of their own.
const FEW: usize = 16;
/// Outputs of a task.
const OUTPUTS: usize = 128;

/// `x [rows, depth] * weight [depth, outputs] + bias [outputs] -> [rows, outputs]`.
///
/// # Panics
/// If a slice ends early.
pub fn linear(x: Strided, weight: Strided, bias: Option<&[f32]>, [rows, depth, outputs]: [usize; 3]) -> Vec<f32> {
    let count = rows * outputs;
    let mut y = Vec::with_capacity(count);
    if count == 0 || depth == 0 {
        y.extend((0..count).map(|at| bias.map_or(0.0, |bias| bias[at % outputs])));
        return y;
    }
    assert!(x.holds(rows, depth) && weight.holds(depth, outputs));
    assert!(bias.is_none_or(|bias| bias.len() == outputs));
    let to = Output::new(&mut y.spare_capacity_mut()[..count]);
    let few = if rows % COLUMNS <= FEW { rows % COLUMNS } else { 0 };
    let blocks = (rows - few).div_ceil(COLUMNS);
    let packed = pack(x, depth, rows - few, blocks);
    let weights = if blocks > 0 { pack_weight(weight, depth, outputs) } else { Vec::new() };
    let block_len = depth * COLUMNS;
    let group = (RESIDENT / (block_len * size_of::<f32>())).clamp(1, 16);
    let chunks = outputs.div_ceil(OUTPUTS);
    (0..blocks.div_ceil(group) * chunks).into_par_iter().for_each(|task| {
        let (first, chunk) = (task / chunks * group, task % chunks);
        for output in (chunk * OUTPUTS..outputs.min((chunk + 1) * OUTPUTS)).step_by(ROWS) {
            let left = match weights.get(output * depth..(output + ROWS) * depth) {
                Some(packed) => Left::packed(packed),
                None => {
                    Left { values: &weight.values[output * weight.strides[1]..], step: 1, stride: weight.strides[1] }
                }
            };
            let biases: [f32; ROWS] =
                std::array::from_fn(|row| bias.and_then(|bias| bias.get(output + row)).map_or(0.0, |&b| b));
            for block in first..blocks.min(first + group) {
                let mut tile = [[0.0; COLUMNS]; ROWS];
                let used = rows - few - block * COLUMNS;
                product(left, (&packed[block * block_len..][..block_len], COLUMNS), depth, used, &mut tile);
                let mut turned = [[0.0; ROWS]; COLUMNS];
                turn(&tile, &biases, &mut turned);
                let count = ROWS.min(outputs - output);
                for (column, values) in turned.iter().take(used).enumerate() {
                    let at = (block * COLUMNS + column) * outputs + output;
                    // SAFETY: only this task has this block of rows with this chunk of outputs.
                    unsafe { to.write(at, &values[..count]) };
                }
            }
        }
    });
    if few > 0 {
        let first = rows - few;
        let x = match x.strides {
            // Side by side already.
            [stride, 1] if stride == depth => Cow::Borrowed(&x.values[first * depth..rows * depth]),
            [stride, step] => Cow::Owned(
                (first..rows)
                    .flat_map(|row| (0..depth).map(move |k| row * stride + k * step))
                    .map(|at| x.values[at])
                    .collect(),
            ),
        };
        (0..chunks).into_par_iter().for_each(|chunk| {
            let range = chunk * OUTPUTS..outputs.min((chunk + 1) * OUTPUTS);
            let mut values = vec![0.0; few * range.len()];
            few_rows(&x, weight, depth, range.clone(), &mut values);
            for (row, values) in values.chunks_exact_mut(range.len()).enumerate() {
                if let Some(bias) = bias {
                    values.iter_mut().zip(&bias[range.clone()]).for_each(|(value, bias)| *value += bias);
                }
                // SAFETY: rows behind the blocks are written here alone, each chunk by one task.
                unsafe { to.write((first + row) * outputs + range.start, values) };
            }
        });
    }
    // SAFETY: every row lies in a block or behind the blocks, and every output in one chunk; both loops wrote all pairs.
    unsafe { y.set_len(count) };
    y
}

/// Outputs whose weights are widened at a time where there are many rows.
const WIDENED: usize = 1024;

/// [`linear`] of a weight `[outputs, depth]` in half precision, row by row. Sums are f32.
///
/// # Panics
/// If a slice ends early.
pub fn linear_half(x: &[f32], weight: &[f16], bias: Option<&[f32]>, [rows, depth, outputs]: [usize; 3]) -> Vec<f32> {
    assert!(x.len() == rows * depth && weight.len() == outputs * depth);
    let mut y = vec![0.0; rows * outputs];
    if y.is_empty() || depth == 0 {
        y.chunks_exact_mut(outputs.max(1)).for_each(|y| bias.into_iter().for_each(|bias| y.copy_from_slice(bias)));
        return y;
    }
    let width = if rows <= FEW { OUTPUTS } else { WIDENED };
    let parts = (0..outputs).step_by(width).map(|first| first..outputs.min(first + width));
    let part = |range: std::ops::Range<usize>| {
        let bias = bias.map(|bias| &bias[range.clone()]);
        if rows > FEW {
            let mut wide = vec![0.0; range.len() * depth];
            let from = &weight[range.start * depth..range.end * depth];
            wide.par_chunks_mut(depth)
                .zip(from.par_chunks(depth))
                .for_each(|(wide, from)| from.convert_to_f32_slice(wide));
            return linear(
                Strided { values: x, strides: [depth, 1] },
                Strided { values: &wide, strides: [1, depth] },
                bias,
                [rows, depth, range.len()],
            );
        }
        let mut values = vec![0.0; rows * range.len()];
        few_rows_half(x, weight, depth, range.clone(), &mut values);
        if let Some(bias) = bias {
            for values in values.chunks_exact_mut(bias.len()) {
                values.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
            }
        }
        values
    };
    let parts: Vec<_> = parts.collect();
    // Many rows are spread over the threads inside a part.
    let found: Vec<Vec<f32>> = match rows > FEW {
        true => parts.iter().cloned().map(part).collect(),
        false => parts.par_iter().cloned().map(part).collect(),
    };
    for (range, values) in parts.into_iter().zip(found) {
        for (y, values) in y.chunks_exact_mut(outputs).zip(values.chunks_exact(range.len())) {
            y[range.clone()].copy_from_slice(values);
        }
    }
    y
}

/// `[rows / 32, depth, 32]`, zeros behind the last row.
fn pack(x: Strided, depth: usize, rows: usize, blocks: usize) -> Vec<f32> {
    let mut packed = vec![0.0; blocks * depth * COLUMNS];
    packed.par_chunks_mut(depth * COLUMNS).enumerate().for_each(|(block, packed)| {
        let first = block * COLUMNS;
        let part = Strided { values: &x.values[first * x.strides[0]..], strides: x.strides };
        pack_block(part, COLUMNS.min(rows - first), packed);
    });
    packed
}

dispatch!(
    /// Up to 32 rows as `[depth, 32]`.
    fn pack_block(x: Strided, rows: usize, packed: &mut [f32]) = pack_block_lanes
);

#[inline(always)]
fn pack_block_lanes<V: Lanes>(x: Strided, rows: usize, packed: &mut [f32]) {
    let [stride, step] = x.strides;
    let packed = packed.as_chunks_mut::<COLUMNS>().0;
    if stride == 1 {
        for (k, to) in packed.iter_mut().enumerate() {
            to[..rows].copy_from_slice(&x.values[k * step..][..rows]);
        }
        return;
    }
    // Where channels lie side by side, sixteen of four rows at a time are turned in registers.
    let whole = if step == 1 { (rows / 4 * 4, packed.len() / LANES * LANES) } else { (0, 0) };
    for column in (0..whole.0).step_by(4) {
        let rows: [&[f32]; 4] = std::array::from_fn(|row| &x.values[(column + row) * stride..][..whole.1]);
        for (at, packed) in packed[..whole.1].as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let mut lanes = [V::splat(0.0); 4];
            for (lanes, row) in lanes.iter_mut().zip(rows) {
                *lanes = V::load(&row.as_chunks::<LANES>().0[at]);
            }
            for (turned, to) in V::interleave(lanes).into_iter().zip(packed.as_chunks_mut::<4>().0) {
                let mut values = [0.0; LANES];
                turned.store(&mut values);
                for (four, to) in values.as_chunks::<4>().0.iter().zip(to) {
                    to[column..column + 4].copy_from_slice(four);
                }
            }
        }
    }
    for (k, to) in packed.iter_mut().enumerate() {
        let done = if k < whole.1 { whole.0 } else { 0 };
        for (column, to) in to[..rows].iter_mut().enumerate().skip(done) {
            *to = x.values[column * stride + k * step];
        }
    }
}

/// The weight as `[outputs / 8, depth, 8]`, zeros behind the last output; empty if it can be read where it lies: whole eights
/// of outputs, each a run of values. Read in strides, a depth of some hundred values would touch more cache lines than the
/// first-level cache has.
fn pack_weight(weight: Strided, depth: usize, outputs: usize) -> Vec<f32> {
    let [step, stride] = weight.strides;
    if step == 1 && outputs.is_multiple_of(ROWS) {
        return Vec::new();
    }
    let mut packed = vec![0.0; outputs.next_multiple_of(ROWS) * depth];
    packed.par_chunks_mut(depth * ROWS).enumerate().for_each(|(eight, packed)| {
        let (first, count) = (eight * ROWS, ROWS.min(outputs - eight * ROWS));
        for (k, to) in packed.as_chunks_mut::<ROWS>().0.iter_mut().enumerate() {
            let from = &weight.values[k * step + first * stride..];
            if stride == 1 {
                to[..count].copy_from_slice(&from[..count]);
            } else {
                to[..count].iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, from)| *to = *from);
            }
        }
    });
    packed
}

dispatch!(
    /// `turned[column][row] = tile[row][column] + biases[row]`.
    fn turn(tile: &Tile, biases: &[f32; ROWS], turned: &mut [[f32; ROWS]; COLUMNS]) = turn_lanes
);

#[inline(always)]
fn turn_lanes<V: Lanes>(tile: &Tile, biases: &[f32; ROWS], turned: &mut [[f32; ROWS]; COLUMNS]) {
    for half in 0..COLUMNS / LANES {
        for first in [0, 4] {
            let mut rows = [V::splat(0.0); 4];
            for (row, lanes) in rows.iter_mut().enumerate() {
                let (from, _) = tile[first + row].as_chunks::<LANES>();
                *lanes = V::load(&from[half]).add(V::splat(biases[first + row]));
            }
            for (part, lanes) in V::interleave(rows).into_iter().enumerate() {
                let mut values = [0.0; LANES];
                lanes.store(&mut values);
                for (column, four) in values.as_chunks::<4>().0.iter().enumerate() {
                    turned[half * LANES + part * 4 + column][first..first + 4].copy_from_slice(four);
                }
            }
        }
    }
}
