//! Matrices of one head in the orders that the products read.

use std::ops::Range;

use super::geometry::Matrix;
use crate::cpu::product::{COLUMNS, ROWS};

/// Eight positions side by side: `[length / 8, dim, 8]`, zeros behind the last.
pub(super) fn eights(matrix: Matrix, positions: Range<usize>, to: &mut Vec<f32>) {
    to.clear();
    to.resize(positions.len().next_multiple_of(ROWS) * matrix.dim, 0.0);
    for (to, first) in to.chunks_exact_mut(ROWS * matrix.dim).zip(positions.clone().step_by(ROWS)) {
        for position in 0..ROWS.min(positions.end - first) {
            for (to, &value) in to.chunks_exact_mut(ROWS).zip(matrix.row(first + position)) {
                to[position] = value;
            }
        }
    }
}

/// Eight channels side by side: `[dim / 8, length, 8]`, zeros behind the last.
pub(super) fn eights_across(matrix: Matrix, positions: Range<usize>, to: &mut Vec<f32>) {
    let length = positions.len();
    to.clear();
    to.resize(matrix.dim.next_multiple_of(ROWS) * length, 0.0);
    for (block, to) in to.chunks_exact_mut(ROWS * length).enumerate() {
        let channels = ROWS.min(matrix.dim - block * ROWS);
        for (position, to) in positions.clone().zip(to.chunks_exact_mut(ROWS)) {
            to[..channels].copy_from_slice(&matrix.row(position)[block * ROWS..][..channels]);
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
