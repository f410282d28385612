//! 1x1 convolutions of one picture: its pixels in blocks of 32, the weights eight outputs at a time.

use crate::cpu::product::{COLUMNS, Left, ROWS, Tile, product};
use crate::cpu::simd::{LANES, Lanes, dispatch};

/// The largest value that ReLU6 lets pass.
pub(super) const CEILING: f32 = 6.0;

/// `[rows, depth]` of any strides as `[rows / 8, depth, 8]`, zeros behind the last row.
pub(super) fn pack_weights(weight: &[f32], [rows, depth]: [usize; 2], [stride, step]: [usize; 2]) -> Vec<f32> {
    let mut packed = vec![0.0; rows.div_ceil(ROWS) * depth * ROWS];
    for row in 0..rows {
        let to = &mut packed[row / ROWS * depth * ROWS + row % ROWS..];
        for (k, to) in to.iter_mut().step_by(ROWS).take(depth).enumerate() {
            *to = weight[row * stride + k * step];
        }
    }
    packed
}

/// Pixels of one picture as `[pixels / 32, channels, 32]`.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    pub channels: usize,
    pub pixels: usize,
}

impl Blocks {
    /// Values of all blocks.
    pub fn len(self) -> usize {
        self.pixels.div_ceil(COLUMNS) * self.channels * COLUMNS
    }

    /// Stores `plane [pixels]` as `channel`.
    pub fn put(self, plane: &[f32], channel: usize, blocks: &mut [f32]) {
        let (whole, rest) = plane.as_chunks::<COLUMNS>();
        let mut places = blocks[channel * COLUMNS..].chunks_mut(self.channels * COLUMNS);
        for (from, to) in whole.iter().zip(&mut places) {
            to[..COLUMNS].copy_from_slice(from);
        }
        if let (false, Some(to)) = (rest.is_empty(), places.next()) {
            to[..rest.len()].copy_from_slice(rest);
            to[rest.len()..COLUMNS].fill(0.0);
        }
    }

    /// Stores `picture [channels, pixels]`.
    pub fn put_all(self, picture: &[f32], blocks: &mut [f32]) {
        for (channel, plane) in picture.chunks_exact(self.pixels).enumerate() {
            self.put(plane, channel, blocks);
        }
    }
}

/// What happens to a sum before it is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    /// It is stored.
    Set,
    /// It is clamped to 0..=6.
    Relu6,
    /// It is added to what is there.
    Add,
}

/// Eight outputs or fewer: `planes [rows, pixels] = weight * blocks + biases`, finished as asked.
///
/// `weight` is a chunk of [`pack_weights`], `biases` has a value for each row, or none.
pub(super) fn multiply(
    weight: &[f32],
    blocks: &[f32],
    shape: Blocks,
    biases: &[f32],
    finish: Finish,
    planes: &mut [f32],
) {
    let mut tile = [[0.0; COLUMNS]; ROWS];
    let block_len = shape.channels * COLUMNS;
    for (index, block) in blocks[..shape.len()].chunks_exact(block_len).enumerate() {
        let at = index * COLUMNS;
        let used = (shape.pixels - at).min(COLUMNS);
        product(Left::packed(weight), (block, COLUMNS), shape.channels, used, &mut tile);
        store(&tile, biases, finish, [at, used, shape.pixels], planes);
    }
}

dispatch!(
    /// `used` columns of the tile to place `at` of planes that lie `stride` apart: `place` is `[at, used, stride]`.
    fn store(tile: &Tile, biases: &[f32], finish: Finish, place: [usize; 3], planes: &mut [f32]) = store_lanes
);

#[inline(always)]
fn store_lanes<V: Lanes>(
    tile: &Tile,
    biases: &[f32],
    finish: Finish,
    [at, used, stride]: [usize; 3],
    planes: &mut [f32],
) {
    for (row, (plane, sums)) in planes.chunks_exact_mut(stride).zip(tile).enumerate() {
        let bias = V::splat(biases.get(row).copied().unwrap_or(0.0));
        let plane = &mut plane[at..at + used];
        let (whole, rest) = plane.as_chunks_mut::<LANES>();
        let (sums, _) = sums.as_chunks::<LANES>();
        for (to, sums) in whole.iter_mut().zip(sums) {
            finished(V::load(sums).add(bias), finish, V::load(to)).store(to);
        }
        if let (false, Some(sums)) = (rest.is_empty(), sums.get(whole.len())) {
            let mut lanes = [0.0; LANES];
            lanes[..rest.len()].copy_from_slice(rest);
            finished(V::load(sums).add(bias), finish, V::load(&lanes)).store(&mut lanes);
            rest.copy_from_slice(&lanes[..rest.len()]);
        }
    }
}

#[inline(always)]
fn finished<V: Lanes>(sum: V, finish: Finish, there: V) -> V {
    match finish {
        Finish::Set => sum,
        Finish::Relu6 => V::splat(CEILING).min(V::splat(0.0).max(sum)),
        Finish::Add => there.add(sum),
    }
}
