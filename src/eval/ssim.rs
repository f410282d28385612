//! Structural similarity (Wang, Bovik, Sheikh, Simoncelli 2004).

use rayon::prelude::*;
use tessera_datasets::{DatasetError, Picture};

use super::planes::{Plane, WINDOW};

const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);

/// Mean structural similarity of two pictures; `None` below 11 pixels a side.
///
/// Computed for red, green and blue apart and averaged (not on luma), with an 11x11 Gaussian of sigma 1.5, K1 = 0.01,
/// K2 = 0.03, range 255, population variances, over the windows that lie wholly inside. These are the numbers of
/// `pytorch-msssim` and of scikit-image's `structural_similarity` with `channel_axis`, `gaussian_weights=True`,
/// `use_sample_covariance=False` and `data_range=255`.
///
/// # Errors
/// [`DatasetError::SizeMismatch`] if the pictures differ in size.
pub fn ssim(a: &Picture, b: &Picture) -> Result<Option<f64>, DatasetError> {
    super::same_size(a, b)?;
    if !fits(a) {
        return Ok(None);
    }
    let planes: Vec<_> = Plane::of(a).into_iter().zip(Plane::of(b)).collect();
    let channels: Vec<f64> = planes.par_iter().map(|(a, b)| compare(a, b).ssim).collect();
    Ok(Some(channels.iter().sum::<f64>() / channels.len() as f64))
}

/// Whether one window fits into the picture.
pub(super) fn fits(picture: &Picture) -> bool {
    usize::try_from(picture.width().min(picture.height())).is_ok_and(|side| side >= WINDOW)
}

/// Means over a plane: the similarity, and its part without the luminance.
pub(super) struct Similarity {
    pub(super) ssim: f64,
    pub(super) contrast: f64,
}

pub(super) fn compare(a: &Plane, b: &Plane) -> Similarity {
    let [mean_a, mean_b] = [a, b].map(Plane::blurred);
    let [aa, bb, ab] = [(a, a), (b, b), (a, b)].map(|(a, b)| a.times(b).blurred());
    let squares = aa.values.iter().zip(&bb.values).zip(&ab.values);
    let (mut ssim, mut contrast) = (0.0, 0.0);
    for ((a, b), ((aa, bb), ab)) in mean_a.values.iter().zip(&mean_b.values).zip(squares) {
        let (squared_a, squared_b, product) = (a * a, b * b, a * b);
        let here = (2.0 * (ab - product) + C2) / (aa - squared_a + bb - squared_b + C2);
        contrast += here;
        ssim += here * (2.0 * product + C1) / (squared_a + squared_b + C1);
    }
    let windows = mean_a.values.len() as f64;
    Similarity { ssim: ssim / windows, contrast: contrast / windows }
}
