//! Peak signal-to-noise ratio, and the two ways to average it.

use tessera_datasets::{DatasetError, Picture};

/// Mean squared difference of all bytes of two pictures, over the three channels together.
///
/// # Errors
/// [`DatasetError::SizeMismatch`] if the pictures differ in size.
pub fn mean_squared_error(a: &Picture, b: &Picture) -> Result<f64, DatasetError> {
    super::same_size(a, b)?;
    let squares: u64 = a.rgb().iter().zip(b.rgb()).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum();
    Ok(squares as f64 / a.rgb().len() as f64)
}

/// `10 log10(255^2 / mse)` in dB; infinite for 0.
///
/// Of one picture's error this is its PSNR; of the mean error of a set it is the set's PSNR as video codecs report it,
/// which is never more than the mean of the pictures' PSNRs, the usual figure of picture codecs.
pub fn psnr_of(mse: f64) -> f64 {
    10.0 * (255.0 * 255.0 / mse).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_difference_has_a_known_ratio() {
        let picture = |colour| Picture::filled(4, 4, colour).unwrap();
        let mse = mean_squared_error(&picture([10, 10, 10]), &picture([13, 6, 10])).unwrap();
        assert_eq!(mse, (9.0 + 16.0) / 3.0);
        assert!((psnr_of(mse) - 38.9226).abs() < 1e-4);
        assert_eq!(psnr_of(0.0), f64::INFINITY);
        assert!(mean_squared_error(&picture([0; 3]), &Picture::filled(4, 5, [0; 3]).unwrap()).is_err());
    }
}
