//! Which tokens a position stands for.

use tessera_tokenizers::ConfigError;

/// Windows in the order of generation, row by row; inside a window tokens row by row.
///
/// Ids are put into this order before anything is looked up, so that merging and splitting windows are reshapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    positions: Vec<usize>,
    size: usize,
}

/// Most tokens of a sample.
const MOST: usize = 1 << 20;

impl Windows {
    /// `side x side` windows of a `height x width` grid.
    ///
    /// # Errors
    /// [`ConfigError`] if the side divides no row or column.
    pub fn of_grid([height, width]: [usize; 2], side: usize) -> Result<Self, ConfigError> {
        let fits = side > 0 && height.is_multiple_of(side) && width.is_multiple_of(side);
        let tokens = height.saturating_mul(width);
        if !fits || tokens == 0 || tokens > MOST {
            let expected = format!("sides that are multiples of the window {side}, and at most {MOST} tokens");
            return Err(ConfigError::invalid("grid", expected, format!("{height} x {width}")));
        }
        let mut positions = Vec::with_capacity(tokens);
        for row in (0..height).step_by(side) {
            for column in (0..width).step_by(side) {
                let inner =
                    (0..side).flat_map(|down| (0..side).map(move |right| (row + down) * width + column + right));
                positions.extend(inner);
            }
        }
        Ok(Self { positions, size: side * side })
    }

    /// Runs of `run` tokens of a line of `len`.
    ///
    /// # Errors
    /// [`ConfigError`] if the run does not divide the line.
    pub fn of_line(len: usize, run: usize) -> Result<Self, ConfigError> {
        if run == 0 || len == 0 || len > MOST || !len.is_multiple_of(run) {
            let expected = format!("a multiple of the window {run}, at most {MOST}");
            return Err(ConfigError::invalid("ordered", expected, len.to_string()));
        }
        Ok(Self { positions: (0..len).collect(), size: run })
    }

    /// Runs of `run` tokens of scales that follow each other; no window holds tokens of two scales.
    ///
    /// # Errors
    /// [`ConfigError`] if the run does not divide a scale.
    pub fn of_scales(counts: &[usize], run: usize) -> Result<Self, ConfigError> {
        let len = counts.iter().fold(0, |all: usize, &count| all.saturating_add(count));
        let fits = |&count: &usize| count > 0 && run > 0 && count.is_multiple_of(run);
        if len == 0 || len > MOST || !counts.iter().all(fits) {
            let expected =
                format!("multiples of the window {run}, so that no window crosses scales, at most {MOST} tokens");
            return Err(ConfigError::invalid("scales", expected, format!("{counts:?}")));
        }
        Ok(Self { positions: (0..len).collect(), size: run })
    }

    /// Windows.
    pub fn count(&self) -> usize {
        self.positions.len() / self.size
    }

    /// Tokens of a window.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Position in the layout of each token, window after window.
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// The place in the order of windows of each position of the layout.
    pub fn places(&self) -> Vec<usize> {
        let mut places = vec![0; self.positions.len()];
        for (place, &position) in self.positions.iter().enumerate() {
            if let Some(slot) = places.get_mut(position) {
                *slot = place;
            }
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_tile_a_grid_row_by_row() {
        let windows = Windows::of_grid([2, 4], 2).unwrap();
        assert_eq!((windows.count(), windows.size()), (2, 4));
        assert_eq!(windows.positions(), [0, 1, 4, 5, 2, 3, 6, 7]);
        assert_eq!(windows.places(), [0, 1, 4, 5, 2, 3, 6, 7]);
        assert_eq!(Windows::of_line(6, 3).unwrap().count(), 2);
        assert_eq!(Windows::of_scales(&[2, 4], 2).unwrap().count(), 3);
        // Six tokens in all, but a window would hold one of each scale.
        assert!(Windows::of_scales(&[3, 3], 2).is_err() && Windows::of_scales(&[], 2).is_err());
        assert!(Windows::of_grid([2, 3], 2).is_err() && Windows::of_line(5, 2).is_err());
    }
}
