//! Where tiles lie in the pictures.

use crate::cpu::product::COLUMNS;
use crate::cpu::simd::LANES;

/// Output pixels along a side of a tile.
pub(super) const TILE: usize = 4;
/// Input pixels along a side of a tile: the output's and one around it.
pub(super) const PATCH: usize = TILE + 2;
/// Tiles of a block: the columns of a product.
pub(super) const BLOCK: usize = COLUMNS;

/// Sizes of one convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv3x3Geometry {
    /// Pictures.
    pub batch: usize,
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Height and width of the input.
    pub size: [usize; 2],
    /// Whether each input pixel stands for 2x2 pixels of the picture that is convolved.
    pub doubled: bool,
}

/// Tiles side by side in one row of tiles of one picture, a part of sixteen.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub item: usize,
    /// First output row.
    pub y: usize,
    /// First output column.
    pub x: usize,
    /// Place of the first tile among the sixteen.
    pub lane: usize,
    pub tiles: usize,
}

/// The two sixteens of a block; the last block's may have no runs.
pub(super) type Block = [Vec<Run>; BLOCK / LANES];

/// Tiles of a block from the first to the last that exists.
pub(super) fn used(block: &Block) -> usize {
    match block {
        [_, second] if !second.is_empty() => BLOCK,
        _ => LANES,
    }
}

impl Conv3x3Geometry {
    /// Height and width of the output.
    pub fn output_size(&self) -> [usize; 2] {
        self.size.map(|side| if self.doubled { 2 * side } else { side })
    }

    /// Values of the output.
    pub fn output_len(&self) -> usize {
        self.batch * self.outputs * self.output_size().iter().product::<usize>()
    }

    pub(super) fn tiles(&self) -> usize {
        self.batch * self.output_size().map(|side| side.div_ceil(TILE)).iter().product::<usize>()
    }

    pub(super) fn blocks(&self) -> Vec<Block> {
        let count = self.tiles().div_ceil(BLOCK);
        let half = |block: usize, half: usize| self.runs(block * BLOCK + half * LANES).collect();
        (0..count).map(|block| std::array::from_fn(|side| half(block, side))).collect()
    }

    /// The runs of the sixteen tiles that begin at `first`, fewer at the end.
    fn runs(&self, first: usize) -> impl Iterator<Item = Run> {
        let [rows, columns] = self.output_size().map(|side| side.div_ceil(TILE));
        let end = (first + LANES).min(self.tiles());
        let mut at = first;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let column = at % columns;
                let tiles = (columns - column).min(end - at);
                let row = at / columns;
                let (item, y, x) = (row / rows, row % rows * TILE, column * TILE);
                let run = Run { item, y, x, lane: at - first, tiles };
                at += tiles;
                run
            })
        })
    }
}
