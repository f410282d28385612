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
}

impl PictureInfo {
    /// Tiles in a row: `ceil(width / tile)`, 1 without tiles.
    pub fn columns(&self) -> u32 {
        self.tile.map_or(1, |tile| self.width.div_ceil(tile.max(1)))
    }

    /// Rows of tiles: `ceil(height / tile)`, 1 without tiles.
    pub fn rows(&self) -> u32 {
        self.tile.map_or(1, |tile| self.height.div_ceil(tile.max(1)))
    }

    /// Tiles of the picture, which is the number of items its tokens have.
    pub fn tiles(&self) -> u64 {
        u64::from(self.columns()) * u64::from(self.rows())
    }
}
