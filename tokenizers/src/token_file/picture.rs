//! The picture that tokens were made from.

/// Size of the original picture, and how it was cut into tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PictureInfo {
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// Side of the square tiles in pixels, at least 1; `None` for a picture that was encoded whole.
    pub tile: Option<u32>,
    /// Pixels that neighbouring tiles share, less than half of `tile`; 0 for tiles side by side and without tiles.
    pub overlap: u32,
}

impl PictureInfo {
    /// A picture that was encoded whole.
    pub fn whole(width: u32, height: u32) -> Self {
        Self { width, height, tile: None, overlap: 0 }
    }

    /// A picture that was cut into tiles which share `overlap` pixels with their neighbours.
    pub fn tiled(width: u32, height: u32, tile: u32, overlap: u32) -> Self {
        Self { width, height, tile: Some(tile), overlap }
    }

    /// Tiles in a row: 1, and one more for each `tile - overlap` pixels or part of them beyond the first tile.
    pub fn columns(&self) -> u32 {
        self.along(self.width)
    }

    /// Rows of tiles, counted as [`PictureInfo::columns`].
    pub fn rows(&self) -> u32 {
        self.along(self.height)
    }

    fn along(&self, side: u32) -> u32 {
        let Some(tile) = self.tile else { return 1 };
        let step = tile.saturating_sub(self.overlap).max(1);
        side.saturating_sub(tile).div_ceil(step).saturating_add(1)
    }

    /// Tiles of the picture, which is the number of items its tokens have.
    pub fn tiles(&self) -> u64 {
        u64::from(self.columns()) * u64::from(self.rows())
    }
}
