//! [`TileGrid`]: a picture of any size as square tiles, and back.

mod stitch;

use crate::error::{DatasetError, Result};
use crate::picture::{Picture, check_sides, checked_pixels};

/// Square tiles that cover a picture at full resolution, counted row by row from the upper left.
///
/// Tiles at the right and lower edge are filled up by repeating the picture's last column and row; [`TileGrid::stitch`]
/// cuts that off again, so that splitting and stitching gives the picture back unchanged.
///
/// Neighbouring tiles may share `overlap` columns or rows. Stitching fades from one tile to the other there, so that
/// tiles which were changed on their own (encoded and decoded, say) show no seam; tiles that agree are not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TileGrid {
    width: u32,
    height: u32,
    tile: u32,
    overlap: u32,
}

impl TileGrid {
    /// The grid for pictures of `width` x `height` and tiles of `tile` x `tile` pixels that lie side by side.
    ///
    /// # Errors
    /// [`DatasetError::Zero`] for a zero argument, [`DatasetError::TooLarge`] if all tiles together (padding included)
    /// have more than [`crate::MAX_PIXELS`] pixels.
    pub fn new(width: u32, height: u32, tile: u32) -> Result<Self> {
        Self::overlapping(width, height, tile, 0)
    }

    /// The same with tiles that share `overlap` columns or rows with each neighbour.
    ///
    /// # Errors
    /// As [`TileGrid::new`]; [`DatasetError::Overlap`] for an overlap of half a tile or more.
    pub fn overlapping(width: u32, height: u32, tile: u32, overlap: u32) -> Result<Self> {
        check_sides(width, height)?;
        if tile == 0 {
            return Err(DatasetError::Zero { what: "a tile side" });
        }
        if overlap >= tile.div_ceil(2) {
            return Err(DatasetError::Overlap { overlap, tile });
        }
        let grid = Self { width, height, tile, overlap };
        let side = |tiles: u32| u64::from(tiles) * u64::from(tile);
        let (padded_width, padded_height) = (side(grid.columns()), side(grid.rows()));
        let too_large = || DatasetError::TooLarge {
            what: format!("all {tile}x{tile} tiles of a {width}x{height} picture"),
            width: padded_width,
            height: padded_height,
            limit: crate::MAX_PIXELS,
        };
        match (u32::try_from(padded_width), u32::try_from(padded_height)) {
            (Ok(width), Ok(height)) => checked_pixels(width, height, "tiles").map_err(|_| too_large())?,
            _ => return Err(too_large()),
        };
        Ok(grid)
    }

    /// Picture width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Picture height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Side of a tile in pixels.
    pub fn tile(&self) -> u32 {
        self.tile
    }

    /// Columns or rows of pixels that neighbouring tiles share.
    pub fn overlap(&self) -> u32 {
        self.overlap
    }

    /// Pixels from the edge of a tile to the same edge of its neighbour: `tile - overlap`.
    pub fn step(&self) -> u32 {
        self.tile - self.overlap
    }

    /// Tiles in one row.
    pub fn columns(&self) -> u32 {
        self.along(self.width)
    }

    /// Rows of tiles.
    pub fn rows(&self) -> u32 {
        self.along(self.height)
    }

    /// Tiles that cover `side` pixels: the fewest whose last one reaches the end.
    fn along(&self, side: u32) -> u32 {
        side.saturating_sub(self.tile).div_ceil(self.step()) + 1
    }

    /// Number of tiles, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a grid is never empty")]
    pub fn len(&self) -> usize {
        self.columns() as usize * self.rows() as usize
    }

    /// Upper left corners (column, row) of all tiles in the picture, in tile order.
    pub fn origins(&self) -> impl Iterator<Item = (u32, u32)> {
        let (step, columns) = (self.step(), self.columns());
        (0..self.rows()).flat_map(move |y| (0..columns).map(move |x| (x * step, y * step)))
    }

    /// Cuts a picture of the grid's size into [`TileGrid::len`] pictures of `tile` x `tile`.
    ///
    /// # Errors
    /// [`DatasetError::SizeMismatch`] for a picture of another size.
    pub fn split(&self, picture: &Picture) -> Result<Vec<Picture>> {
        expect_size(picture, self.width, self.height)?;
        Ok(self.origins().map(|origin| self.cut(picture, origin)).collect())
    }

    /// The tile at `origin`, filled up beyond the picture's edges.
    fn cut(&self, picture: &Picture, (left, top): (u32, u32)) -> Picture {
        let (tile, stride) = (self.tile as usize, picture.stride());
        let mut rgb: Vec<u8> = Vec::with_capacity(tile * tile * 3);
        let rows = picture.rgb().chunks_exact(stride).skip(top as usize).take(tile);
        for row in rows {
            let inside = row.get(left as usize * 3..).unwrap_or(&[]);
            let inside = inside.get(..tile * 3).unwrap_or(inside);
            rgb.extend_from_slice(inside);
            let last = inside.last_chunk::<3>().copied().unwrap_or_default();
            rgb.extend_from_slice(&last.repeat(tile - inside.len() / 3));
        }
        let last_row = rgb.len().saturating_sub(tile * 3)..rgb.len();
        while rgb.len() < tile * tile * 3 {
            rgb.extend_from_within(last_row.clone());
        }
        Picture::from_parts(self.tile, self.tile, rgb)
    }
}

fn expect_size(picture: &Picture, width: u32, height: u32) -> Result<()> {
    if (picture.width(), picture.height()) == (width, height) {
        return Ok(());
    }
    Err(DatasetError::SizeMismatch {
        expected_width: width,
        expected_height: height,
        width: picture.width(),
        height: picture.height(),
    })
}
