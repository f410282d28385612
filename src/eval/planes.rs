//! Colour planes as numbers, their Gaussian window and their halving: what both similarities are made of.

use tessera_datasets::Picture;

/// Taps of the Gaussian window, as in Wang et al. 2004.
pub(super) const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;

/// One colour of a picture, values 0 to 255, row by row.
#[derive(Clone)]
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) values: Vec<f64>,
}

impl Plane {
    /// Red, green and blue.
    pub(super) fn of(picture: &Picture) -> [Self; 3] {
        let side = |side: u32| usize::try_from(side).unwrap_or(usize::MAX);
        let (width, height) = (side(picture.width()), side(picture.height()));
        let pixels = picture.rgb().as_chunks::<3>().0;
        [0, 1, 2].map(|channel| {
            let values = pixels.iter().map(|pixel| f64::from(pixel.get(channel).copied().unwrap_or(0))).collect();
            Self { width, height, values }
        })
    }

    /// The product with another plane of the same size.
    pub(super) fn times(&self, other: &Self) -> Self {
        let values = self.values.iter().zip(&other.values).map(|(a, b)| a * b).collect();
        Self { values, ..*self }
    }

    /// The Gaussian mean around every pixel whose whole window lies inside: `WINDOW - 1` fewer rows and columns.
    pub(super) fn blurred(&self) -> Self {
        let weights = gaussian();
        let (width, height) = (self.width.saturating_sub(WINDOW - 1), self.height.saturating_sub(WINDOW - 1));
        let mut rows = vec![0.0; width * self.height];
        if width > 0 && height > 0 {
            for (to, from) in rows.chunks_exact_mut(width).zip(self.values.chunks_exact(self.width)) {
                for (shift, weight) in weights.iter().enumerate() {
                    add(to, from.get(shift..).unwrap_or_default(), *weight);
                }
            }
        }
        let mut values = vec![0.0; width * height];
        for (y, to) in values.chunks_exact_mut(width.max(1)).enumerate() {
            for (from, weight) in rows.chunks_exact(width.max(1)).skip(y).zip(&weights) {
                add(to, from, *weight);
            }
        }
        Self { width, height, values }
    }

    /// The mean of every 2x2 pixels. An odd side is first given a zero on both ends, which counts in the mean: what
    /// `pytorch-msssim` does, whose numbers are the usual ones.
    pub(super) fn halved(&self) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut values = vec![0.0; width * height];
        for (y, row) in self.values.chunks_exact(self.width.max(1)).enumerate() {
            let half = (y + self.height % 2) / 2;
            let Some(to) = values.get_mut(half * width..(half + 1) * width) else { continue };
            for (x, value) in row.iter().enumerate() {
                if let Some(to) = to.get_mut((x + self.width % 2) / 2) {
                    *to += value / 4.0;
                }
            }
        }
        Self { width, height, values }
    }
}

/// `to += weight * from`.
fn add(to: &mut [f64], from: &[f64], weight: f64) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
}

/// The window along one side; its sum is 1.
fn gaussian() -> [f64; WINDOW] {
    let middle = (WINDOW / 2) as f64;
    let weights: [f64; WINDOW] =
        std::array::from_fn(|tap| (-(tap as f64 - middle).powi(2) / (2.0 * SIGMA * SIGMA)).exp());
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| weight / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(width: usize, height: usize, values: &[u8]) -> Plane {
        Plane { width, height, values: values.iter().map(|&value| f64::from(value)).collect() }
    }

    #[test]
    fn a_flat_plane_stays_flat_inside() {
        let blurred = plane(13, 12, &[7; 156]).blurred();
        assert_eq!((blurred.width, blurred.height), (3, 2));
        assert!(blurred.values.iter().all(|value| (value - 7.0).abs() < 1e-12));
        assert!(plane(10, 12, &[7; 120]).blurred().values.is_empty());
    }

    #[test]
    fn halving_takes_means_and_counts_zeros_beyond_odd_edges() {
        assert_eq!(plane(4, 2, &[0, 4, 8, 8, 4, 8, 8, 8]).halved().values, [4.0, 8.0]);
        let odd = plane(3, 3, &[4; 9]).halved();
        assert_eq!((odd.width, odd.height, odd.values), (2, 2, vec![1.0, 2.0, 2.0, 4.0]));
    }
}
