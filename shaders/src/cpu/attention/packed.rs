//! Parts of the packed projection, in the orders that the products read.

use crate::cpu::product::{COLUMNS, ROWS};

/// Sizes of a packed projection `[batch, length, 3, heads, dim]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionGeometry {
    /// Sequences.
    pub batch: usize,
    /// Positions of each.
    pub length: usize,
    /// Heads side by side.
    pub heads: usize,
    /// Channels of a head.
    pub dim: usize,
}

/// Which third of the projection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Queries,
    Keys,
    Values,
}

/// A matrix `[length, dim]` inside a tensor: where it begins and how far its rows are apart.
pub(super) type Matrix = (usize, usize);

impl AttentionGeometry {
    /// What scores are multiplied by: `1 / sqrt(dim)`.
    pub fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }

    pub(super) fn part(&self, part: Part, head: usize) -> Matrix {
        let width = self.heads * self.dim;
        let (item, head) = (head / self.heads, head % self.heads);
        (item * self.length * 3 * width + part as usize * width + head * self.dim, 3 * width)
    }

    /// The matrix of one head in a tensor of the output's shape.
    pub(super) fn head(&self, head: usize) -> Matrix {
        let width = self.heads * self.dim;
        (head / self.heads * self.length * width + head % self.heads * self.dim, width)
    }

    pub(super) fn output(&self, head: usize, position: usize) -> usize {
        let (start, stride) = self.head(head);
        start + position * stride
    }
}

/// Eight positions side by side: `[length / 8, dim, 8]`, zeros behind the last.
pub(super) fn eights(values: &[f32], (start, stride): Matrix, geometry: &AttentionGeometry, to: &mut Vec<f32>) {
    let AttentionGeometry { length, dim, .. } = *geometry;
    to.clear();
    to.resize(length.next_multiple_of(ROWS) * dim, 0.0);
    for (block, to) in to.chunks_exact_mut(ROWS * dim).enumerate() {
        for position in 0..ROWS.min(length - block * ROWS) {
            let from = &values[start + (block * ROWS + position) * stride..][..dim];
            for (to, &value) in to.chunks_exact_mut(ROWS).zip(from) {
                to[position] = value;
            }
        }
    }
}

/// Eight channels side by side: `[dim / 8, length, 8]`, zeros behind the last.
pub(super) fn eights_across(values: &[f32], (start, stride): Matrix, geometry: &AttentionGeometry, to: &mut Vec<f32>) {
    let AttentionGeometry { length, dim, .. } = *geometry;
    to.clear();
    to.resize(dim.next_multiple_of(ROWS) * length, 0.0);
    for (block, to) in to.chunks_exact_mut(ROWS * length).enumerate() {
        let channels = ROWS.min(dim - block * ROWS);
        for (position, to) in to.chunks_exact_mut(ROWS).enumerate() {
            let from = &values[start + position * stride + block * ROWS..][..channels];
            to[..channels].copy_from_slice(from);
        }
    }
}

/// The 32 positions from `first` on side by side: `[dim, 32]`, scaled; zeros behind the last.
pub(super) fn columns(
    values: &[f32],
    (start, stride): Matrix,
    geometry: &AttentionGeometry,
    first: usize,
    scale: f32,
    to: &mut Vec<f32>,
) {
    to.clear();
    to.resize(geometry.dim * COLUMNS, 0.0);
    for column in 0..COLUMNS.min(geometry.length - first) {
        let from = &values[start + (first + column) * stride..][..geometry.dim];
        for (to, &value) in to.chunks_exact_mut(COLUMNS).zip(from) {
            to[column] = value * scale;
        }
    }
}

/// The 32 positions from `first` on as rows `[32, dim rounded up to 32]`, scaled; zeros elsewhere.
pub(super) fn rows(
    values: &[f32],
    (start, stride): Matrix,
    geometry: &AttentionGeometry,
    first: usize,
    scale: f32,
    to: &mut Vec<f32>,
) {
    let width = geometry.dim.next_multiple_of(COLUMNS);
    to.clear();
    to.resize(COLUMNS * width, 0.0);
    for (row, to) in to.chunks_exact_mut(width).enumerate().take(geometry.length - first) {
        let from = &values[start + (first + row) * stride..][..geometry.dim];
        for (to, &value) in to.iter_mut().zip(from) {
            *to = value * scale;
        }
    }
}
