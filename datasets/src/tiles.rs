//! [`TileGrid`]: a picture of any size as square tiles, and back.

use crate::error::{DatasetError, Result};
use crate::picture::{Picture, check_sides, checked_pixels};

/// Square tiles that cover a picture at full resolution, counted row by row from the upper left.
///
/// Tiles at the right and lower edge are filled up by repeating the picture's last column and row; [`TileGrid::stitch`]
/// cuts that off again, so that splitting and stitching gives the picture back unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TileGrid {
    width: u32,
    height: u32,
    tile: u32,
}

impl TileGrid {
    /// The grid for pictures of `width` x `height` and tiles of `tile` x `tile` pixels.
    ///
    /// # Errors
    /// [`DatasetError::Zero`] for a zero argument, [`DatasetError::TooLarge`] if all tiles together (padding included)
    /// have more than [`crate::MAX_PIXELS`] pixels.
    pub fn new(width: u32, height: u32, tile: u32) -> Result<Self> {
        check_sides(width, height)?;
        if tile == 0 {
            return Err(DatasetError::Zero { what: "a tile side" });
        }
        let grid = Self { width, height, tile };
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

    /// Tiles in one row.
    pub fn columns(&self) -> u32 {
        self.width.div_ceil(self.tile)
    }

    /// Rows of tiles.
    pub fn rows(&self) -> u32 {
        self.height.div_ceil(self.tile)
    }

    /// Number of tiles, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a grid is never empty")]
    pub fn len(&self) -> usize {
        self.columns() as usize * self.rows() as usize
    }

    /// Upper left corners (column, row) of all tiles in the picture, in tile order.
    pub fn origins(&self) -> impl Iterator<Item = (u32, u32)> {
        let Self { tile, .. } = *self;
        let columns = self.columns();
        (0..self.rows()).flat_map(move |y| (0..columns).map(move |x| (x * tile, y * tile)))
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

    /// Puts [`TileGrid::len`] tiles together again and cuts the padding off; the inverse of [`TileGrid::split`].
    ///
    /// # Errors
    /// [`DatasetError::TileCount`] for a wrong number of tiles, [`DatasetError::SizeMismatch`] if one is not
    /// `tile` x `tile`.
    pub fn stitch(&self, tiles: &[Picture]) -> Result<Picture> {
        if tiles.len() != self.len() {
            return Err(DatasetError::TileCount { expected: self.len(), found: tiles.len() });
        }
        tiles.iter().try_for_each(|tile| expect_size(tile, self.tile, self.tile))?;
        let mut rgb = vec![0; self.width as usize * self.height as usize * 3];
        let stride = self.width as usize * 3;
        for ((left, top), tile) in self.origins().zip(tiles) {
            let targets = rgb.chunks_exact_mut(stride).skip(top as usize);
            for (target, source) in targets.zip(tile.rgb().chunks_exact(tile.stride())) {
                // `zip` ends at the shorter one: what lies beyond the picture is dropped.
                target.iter_mut().skip(left as usize * 3).zip(source).for_each(|(to, from)| *to = *from);
            }
        }
        Picture::new(self.width, self.height, rgb)
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
