//! Structural similarity over five scales (Wang, Simoncelli, Bovik 2003).

use rayon::prelude::*;
use tessera_datasets::{DatasetError, Picture};

use super::planes::Plane;
use super::ssim::{Similarity, compare, fits};

/// Exponents of the scales, fine to coarse.
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// The shortest side of a picture that MS-SSIM is defined for: the window must fit into a sixteenth of it.
pub const LEAST_MS_SSIM_SIDE: u32 = 161;

/// Multi-scale structural similarity of two pictures; `None` below [`LEAST_MS_SSIM_SIDE`].
///
/// For red, green and blue apart and averaged, with the windows of [`ssim`](super::ssim()); negative means of a scale
/// count as 0. These are the numbers of `pytorch-msssim`.
///
/// # Errors
/// [`DatasetError::SizeMismatch`] if the pictures differ in size.
pub fn ms_ssim(a: &Picture, b: &Picture) -> Result<Option<f64>, DatasetError> {
    Ok(similarities(a, b)?.1)
}

/// SSIM and MS-SSIM, for little more than the price of one.
///
/// # Errors
/// [`DatasetError::SizeMismatch`] if the pictures differ in size.
pub fn similarities(a: &Picture, b: &Picture) -> Result<(Option<f64>, Option<f64>), DatasetError> {
    super::same_size(a, b)?;
    if !fits(a) {
        return Ok((None, None));
    }
    let scales = if a.width().min(a.height()) < LEAST_MS_SSIM_SIDE { 1 } else { WEIGHTS.len() };
    let planes: Vec<_> = Plane::of(a).into_iter().zip(Plane::of(b)).collect();
    let channels: Vec<Vec<Similarity>> = planes.into_par_iter().map(|(a, b)| pyramid(a, b, scales)).collect();
    let mean = |of: &dyn Fn(&[Similarity]) -> f64| {
        channels.iter().map(|channel| of(channel)).sum::<f64>() / channels.len() as f64
    };
    let ssim = mean(&|scales| scales.first().map_or(0.0, |finest| finest.ssim));
    Ok((Some(ssim), (scales > 1).then(|| mean(&over_scales))))
}

fn pyramid(mut a: Plane, mut b: Plane, scales: usize) -> Vec<Similarity> {
    let mut found = vec![compare(&a, &b)];
    while found.len() < scales {
        (a, b) = (a.halved(), b.halved());
        found.push(compare(&a, &b));
    }
    found
}

/// Contrast and structure at every scale, luminance at the coarsest alone.
fn over_scales(scales: &[Similarity]) -> f64 {
    let last = scales.len().saturating_sub(1);
    let parts = scales.iter().enumerate().map(|(scale, it)| if scale == last { it.ssim } else { it.contrast });
    parts.zip(WEIGHTS).map(|(part, weight)| part.max(0.0).powf(weight)).product()
}
