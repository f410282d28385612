//! Matrices of one head in the orders that the products read.

use std::ops::Range;

use super::geometry::Matrix;
use crate::cpu::product::{COLUMNS, Left, ROWS};

/// Left sides of the products over a matrix, eight positions or channels each: packed, or where they lie, which is
/// better if they are read once. The last, if it is not whole, is always packed.
pub(super) struct Eights<'a> {
    packed: &'a [f32],
    /// Values of a packed eight.
    size: usize,
    /// What lies in place: so many eights, so far apart.
    lying: Left<'a>,
    whole: usize,
    apart: usize,
}

impl<'a> Eights<'a> {
    /// Eight positions side by side: `[length / 8, dim, 8]`, zeros behind the last.
    pub fn positions(matrix: Matrix<'a>, positions: Range<usize>, once: bool, to: &'a mut Vec<f32>) -> Self {
        let whole = if once { positions.len() / ROWS } else { 0 };
        let lying = Left { values: matrix.from(positions.start), step: 1, stride: matrix.stride };
        let positions = positions.start + whole * ROWS..positions.end;
        to.clear();
        to.resize(positions.len().next_multiple_of(ROWS) * matrix.dim, 0.0);
        for (to, first) in to.chunks_exact_mut(ROWS * matrix.dim).zip(positions.clone().step_by(ROWS)) {
            for position in 0..ROWS.min(positions.end - first) {
                for (to, &value) in to.chunks_exact_mut(ROWS).zip(matrix.row(first + position)) {
                    to[position] = value;
                }
            }
        }
        Self { packed: to, size: ROWS * matrix.dim, lying, whole, apart: ROWS * matrix.stride }
    }

    /// Eight channels side by side: `[dim / 8, length, 8]`, zeros behind the last.
    pub fn channels(matrix: Matrix<'a>, positions: Range<usize>, once: bool, to: &'a mut Vec<f32>) -> Self {
        let whole = if once { matrix.dim / ROWS } else { 0 };
        let lying = Left { values: matrix.from(positions.start), step: matrix.stride, stride: 1 };
        let size = ROWS * positions.len();
        to.clear();
        to.resize((matrix.dim.div_ceil(ROWS) - whole) * size, 0.0);
        for (first, to) in (whole * ROWS..).step_by(ROWS).zip(to.chunks_exact_mut(size)) {
            let channels = ROWS.min(matrix.dim - first);
            for (position, to) in positions.clone().zip(to.chunks_exact_mut(ROWS)) {
                to[..channels].copy_from_slice(&matrix.row(position)[first..][..channels]);
            }
        }
        Self { packed: to, size, lying, whole, apart: ROWS }
    }

    /// Eight `index`.
    pub fn left(&self, index: usize) -> Left<'a> {
        match index.checked_sub(self.whole) {
            Some(packed) => Left::packed(&self.packed[packed * self.size..][..self.size]),
            None => Left { values: &self.lying.values[index * self.apart..], ..self.lying },
        }
    }
}

/// Up to 32 positions side by side: `[dim, 32]`, scaled; zeros behind the last.
pub(super) fn columns(matrix: Matrix, positions: Range<usize>, scale: f32, to: &mut Vec<f32>) {
    to.clear();
    to.resize(matrix.dim * COLUMNS, 0.0);
    for (column, position) in positions.enumerate() {
        for (to, &value) in to.chunks_exact_mut(COLUMNS).zip(matrix.row(position)) {
            to[column] = value * scale;
        }
    }
}

/// Up to 32 positions as rows `[32, dim rounded up to 32]`, scaled; zeros elsewhere.
pub(super) fn rows(matrix: Matrix, positions: Range<usize>, scale: f32, to: &mut Vec<f32>) {
    let width = matrix.dim.next_multiple_of(COLUMNS);
    to.clear();
    to.resize(COLUMNS * width, 0.0);
    for (to, position) in to.chunks_exact_mut(width).zip(positions) {
        for (to, &value) in to.iter_mut().zip(matrix.row(position)) {
            *to = value * scale;
        }
    }
}
