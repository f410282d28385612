//! Samples of a lattice of which few are known, and marks on its cells.

/// Samples along a side of a block.
const BLOCK: usize = 8;
const IN_BLOCK: usize = BLOCK * BLOCK * BLOCK;

/// Memory in proportion to the blocks that were touched.
pub(super) struct Samples {
    blocks_along: usize,
    /// Index of each block plus one; 0 where there is none yet.
    index: Vec<u32>,
    blocks: Vec<Block>,
}

struct Block {
    /// NaN where nothing is known, infinity where a value was asked for: samples themselves are finite.
    values: [f32; IN_BLOCK],
    marks: [u64; IN_BLOCK / 64],
}

impl Samples {
    /// Of a lattice of `side` samples along each axis.
    pub(super) fn new(side: usize) -> Self {
        let blocks_along = side.div_ceil(BLOCK);
        Self { blocks_along, index: vec![0; blocks_along.pow(3)], blocks: Vec::new() }
    }

    /// The value of a sample, if it is known.
    pub(super) fn get(&self, sample: [u16; 3]) -> Option<f32> {
        let (block, at) = self.locate(sample);
        let block = self.index[block].checked_sub(1)?;
        Some(self.blocks[block as usize].values[at]).filter(|value| value.is_finite())
    }

    /// Whether a sample must be asked for: it is neither known nor was it asked for; from now on it was.
    pub(super) fn ask(&mut self, sample: [u16; 3]) -> bool {
        let (block, at) = self.locate(sample);
        let value = &mut self.block(block).values[at];
        let is_new = value.is_nan();
        if is_new {
            *value = f32::INFINITY;
        }
        is_new
    }

    /// Sets the value of a sample.
    pub(super) fn set(&mut self, sample: [u16; 3], value: f32) {
        let (block, at) = self.locate(sample);
        self.block(block).values[at] = value;
    }

    /// Marks the cell whose lowest corner is `cell`; whether it was not marked before.
    pub(super) fn mark(&mut self, cell: [u16; 3]) -> bool {
        let (block, at) = self.locate(cell);
        let marks = &mut self.block(block).marks[at / 64];
        let is_new = *marks >> (at % 64) & 1 == 0;
        *marks |= 1 << (at % 64);
        is_new
    }

    fn locate(&self, sample: [u16; 3]) -> (usize, usize) {
        let [x, y, z] = sample.map(usize::from);
        let block = ((x / BLOCK) * self.blocks_along + y / BLOCK) * self.blocks_along + z / BLOCK;
        (block, ((x % BLOCK) * BLOCK + y % BLOCK) * BLOCK + z % BLOCK)
    }

    fn block(&mut self, block: usize) -> &mut Block {
        if self.index[block] == 0 {
            self.blocks.push(Block { values: [f32::NAN; IN_BLOCK], marks: [0; IN_BLOCK / 64] });
            // At most 129^3 blocks.
            self.index[block] = self.blocks.len() as u32;
        }
        &mut self.blocks[self.index[block] as usize - 1]
    }
}
