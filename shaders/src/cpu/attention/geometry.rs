//! Sizes of an attention, and where its tensors lie.

use crate::AttentionMask;

/// Sizes of one attention call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionGeometry {
    /// Sequences.
    pub batch: usize,
    /// Queries of each.
    pub queries: usize,
    /// Keys and values of each.
    pub keys: usize,
    /// Heads side by side.
    pub heads: usize,
    /// Channels of a head.
    pub dim: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// Which keys a query sees.
    pub mask: AttentionMask,
}

impl AttentionGeometry {
    pub(super) fn width(&self) -> usize {
        self.heads * self.dim
    }
}

/// Where the positions of a tensor `[batch, length, heads * dim]` lie: the channels of one side by side, positions
/// and items anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The first value.
    pub start: usize,
    /// From one item of the batch to the next.
    pub item: usize,
    /// From one position to the next.
    pub position: usize,
}

impl Place {
    /// `length` positions of `width` channels, one behind the other.
    pub fn contiguous(length: usize, width: usize) -> Self {
        Self { start: 0, item: length * width, position: width }
    }

    /// Where a position of a head begins; heads are counted through the batch.
    pub(super) fn at(self, geometry: &AttentionGeometry, head: usize, position: usize) -> usize {
        let (item, head) = (head / geometry.heads, head % geometry.heads);
        self.start + item * self.item + head * geometry.dim + position * self.position
    }
}

/// A tensor where it lies.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// The memory that holds it.
    pub values: &'a [f32],
    /// Where in there.
    pub place: Place,
}

impl<'a> Placed<'a> {
    pub(super) fn head(self, geometry: &AttentionGeometry, head: usize) -> Matrix<'a> {
        let start = self.place.at(geometry, head, 0);
        Matrix { values: &self.values[start..], stride: self.place.position, dim: geometry.dim }
    }
}

/// The matrix `[length, dim]` of one head.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    pub stride: usize,
    pub dim: usize,
}

impl<'a> Matrix<'a> {
    /// Everything from a position on.
    pub fn from(self, position: usize) -> &'a [f32] {
        &self.values[position * self.stride..]
    }

    pub fn row(self, position: usize) -> &'a [f32] {
        &self.values[position * self.stride..][..self.dim]
    }
}
