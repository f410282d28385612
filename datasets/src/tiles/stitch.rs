//! Tiles back to a picture, with a fade where they overlap.

use super::{TileGrid, expect_size};
use crate::error::{DatasetError, Result};
use crate::picture::Picture;

/// Weight of a tile where it is alone; the weights of two tiles that overlap add up to it, exactly.
const WHOLE: u32 = 1 << 8;
/// Weight of a pixel: one along the row times one along the column.
const UNIT: u32 = WHOLE * WHOLE;

impl TileGrid {
    /// Puts [`TileGrid::len`] tiles together again and cuts the padding off; the inverse of [`TileGrid::split`].
    ///
    /// Where tiles overlap, each fades out along a straight line while its neighbour fades in. The weights are whole
    /// numbers that add up to the same sum everywhere, so tiles that agree come out as they are, to the byte.
    ///
    /// # Errors
    /// [`DatasetError::TileCount`] for a wrong number of tiles, [`DatasetError::SizeMismatch`] if one is not
    /// `tile` x `tile`.
    pub fn stitch(&self, tiles: &[Picture]) -> Result<Picture> {
        if tiles.len() != self.len() {
            return Err(DatasetError::TileCount { expected: self.len(), found: tiles.len() });
        }
        tiles.iter().try_for_each(|tile| expect_size(tile, self.tile, self.tile))?;
        let (columns, step) = (self.columns() as usize, self.step() as usize);
        let across = self.fades(columns);
        let down = self.fades(self.rows() as usize);
        let stride = self.width as usize * 3;
        let mut rgb = Vec::with_capacity(stride * self.height as usize);
        let mut sums = vec![0_u32; stride];
        for y in 0..self.height as usize {
            sums.fill(UNIT / 2);
            for (row, (tiles, fade)) in tiles.chunks_exact(columns).zip(&down).enumerate() {
                // Above the tiles of this row of tiles the subtraction fails, below them the weight is missing.
                let inside = y.checked_sub(row * step).and_then(|inside| Some((inside, *fade.get(inside)?)));
                let Some((inside, weight)) = inside else { continue };
                for (column, (tile, fade)) in tiles.iter().zip(&across).enumerate() {
                    let pixels = tile.rgb().chunks_exact(tile.stride()).nth(inside).unwrap_or_default().as_chunks().0;
                    add(&mut sums, column * step, pixels, fade, weight);
                }
            }
            // At most 255 + 1/2: no more than a byte holds.
            rgb.extend(sums.iter().map(|&sum| (sum / UNIT) as u8));
        }
        Picture::new(self.width, self.height, rgb)
    }

    /// The weight of each pixel along a tile, for each of `count` tiles in a row.
    fn fades(&self, count: usize) -> Vec<Vec<u32>> {
        let tile = self.tile as usize;
        let ramp = ramp(self.overlap);
        let fade = |index: usize| {
            let mut fade = vec![WHOLE; tile];
            if index > 0 {
                fade.iter_mut().zip(&ramp).for_each(|(weight, &rising)| *weight = rising);
            }
            if index + 1 < count {
                fade.iter_mut().skip(tile - ramp.len()).zip(&ramp).for_each(|(weight, &rising)| *weight -= rising);
            }
            fade
        };
        (0..count).map(fade).collect()
    }
}

/// Rises from 0 to [`WHOLE`] over `length` pixels in equal steps, the step onto the first pixel and off the last included:
/// with few pixels a straight line has the smallest steps, and steps are what is seen.
fn ramp(length: u32) -> Vec<u32> {
    let at = |pixel: u32| f64::from(WHOLE) * f64::from(pixel + 1) / f64::from(length + 1);
    // Between 0 and WHOLE, so the cast only rounds.
    (0..length).map(|pixel| at(pixel).round() as u32).collect()
}

/// Adds one row of a tile to the sums, from pixel `left` on; what lies beyond the picture is dropped.
fn add(sums: &mut [u32], left: usize, pixels: &[[u8; 3]], fade: &[u32], weight: u32) {
    let sums = sums.get_mut(left * 3..).unwrap_or_default().as_chunks_mut::<3>().0;
    for ((sums, pixel), fade) in sums.iter_mut().zip(pixels).zip(fade) {
        sums.iter_mut().zip(pixel).for_each(|(sum, &byte)| *sum += u32::from(byte) * fade * weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fades_in_and_what_fades_out_add_up() {
        for length in 0..40 {
            let ramp = ramp(length);
            assert!(ramp.is_sorted() && ramp.iter().all(|&weight| weight <= WHOLE));
            assert!(ramp.iter().zip(ramp.iter().rev()).all(|(up, down)| up + down == WHOLE), "{ramp:?}");
        }
    }

    #[test]
    fn a_step_between_tiles_becomes_a_slope() {
        let grid = TileGrid::overlapping(28, 16, 16, 4).unwrap();
        let tiles = [[0; 3], [200; 3]].map(|colour| Picture::filled(16, 16, colour).unwrap());
        let row: Vec<u8> = grid.stitch(&tiles).unwrap().rgb().iter().step_by(3).take(28).copied().collect();
        assert_eq!(row[..12], [0; 12]);
        assert_eq!(row[12..16], [40, 80, 120, 160]);
        assert_eq!(row[16..], [200; 12]);
    }
}
