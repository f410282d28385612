//! What SEED-2's features become before Stable Diffusion's unCLIP U-Net takes them.

use burn::tensor::{Device, Tensor, TensorData};
use tessera_layers::checkpoint::{CheckpointError, Weights};

use crate::LoadError;

/// Why features could not be made a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnclipError {
    /// Tensors that do not fit together.
    #[error("{what}: expected {expected}, found {found:?}")]
    Shape {
        /// What does not fit.
        what: &'static str,
        /// What would fit.
        expected: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A noise level outside the schedule.
    #[error("noise level {found}: expected one from 0 to {last}, the last of the schedule")]
    Level {
        /// The last level.
        last: usize,
        /// What was asked for.
        found: usize,
    },
}

/// The image normaliser of Stable Diffusion 2.1 unCLIP: mean and deviation of CLIP's image embeddings, channel by channel.
///
/// The condition is `[v', level]`: the embedding, noised in normalised channels, beside sinusoids of the noise level. It enters the U-Net as
/// its class embedding; the text is empty. Even level 0 mixes in noise (0.6 % of a deviation).
///
/// Source: Ramesh et al. 2022 (arXiv 2204.06125) as released in stabilityai/stable-diffusion-2-1-unclip; arXiv 2310.01218, section 3.
#[derive(Debug, Clone)]
pub struct UnclipCondition {
    mean: Tensor<2>,
    deviation: Tensor<2>,
}

impl UnclipCondition {
    /// Levels of the schedule (`squaredcos_cap_v2`).
    pub const LEVELS: usize = 1000;

    /// From the tensors `mean` and `std`, both `[1, channels]`, of the diffusion model's `image_normalizer`.
    ///
    /// # Errors
    /// [`UnclipError::Shape`] if they are not.
    pub fn new(mean: Tensor<2>, deviation: Tensor<2>) -> Result<Self, UnclipError> {
        let [rows, channels] = mean.dims();
        if rows != 1 || channels == 0 || deviation.dims() != mean.dims() {
            let found = if rows == 1 && channels > 0 { deviation.dims() } else { mean.dims() };
            let expected = format!("[1, {}] both", channels.max(1));
            return Err(UnclipError::Shape { what: "mean and deviation", expected, found: found.to_vec() });
        }
        Ok(Self { mean, deviation })
    }

    /// From the file of the diffusion model's `image_normalizer`.
    ///
    /// # Errors
    /// [`LoadError`] if it has no `mean` and `std` of one row each and one width.
    pub fn load(weights: &Weights, device: &Device) -> Result<Self, LoadError> {
        let read = |name: &str| -> Result<Tensor<2>, LoadError> {
            let values = weights.read_f32(name)?;
            let width = values.len();
            Ok(Tensor::from_data(TensorData::new(values, [1, width]), device))
        };
        Self::new(read("mean")?, read("std")?).map_err(|error| {
            LoadError::Checkpoint(CheckpointError::Malformed {
                path: weights.path().to_owned(),
                expected: "an image normalizer, mean and std of one width",
                found: error.to_string(),
            })
        })
    }

    /// The share of the embedding's variance that is left at `level`.
    ///
    /// # Errors
    /// [`UnclipError::Level`] if there is no such level.
    pub fn kept(level: usize) -> Result<f64, UnclipError> {
        if level >= Self::LEVELS {
            return Err(UnclipError::Level { last: Self::LEVELS - 1, found: level });
        }
        let share = |step: usize| {
            let time = step as f64 / Self::LEVELS as f64;
            ((time + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2)
        };
        Ok((0..=level).map(|step| 1.0 - (1.0 - share(step + 1) / share(step)).min(0.999)).product())
    }

    /// The condition `[batch, 2 * channels]` of image embeddings and noise, both `[batch, channels]`.
    ///
    /// # Errors
    /// [`UnclipError`] if shapes do not fit or there is no such level.
    pub fn apply(&self, embeddings: Tensor<2>, noise: Tensor<2>, level: usize) -> Result<Tensor<2>, UnclipError> {
        let ([batch, width], [_, channels]) = (embeddings.dims(), self.mean.dims());
        if width != channels || noise.dims() != [batch, width] {
            let found = if width == channels { noise.dims() } else { embeddings.dims() };
            let expected = format!("[{batch}, {channels}] both");
            return Err(UnclipError::Shape { what: "image embeddings and noise", expected, found: found.to_vec() });
        }
        let kept = Self::kept(level)?;
        let normalised = (embeddings - self.mean.clone()) / self.deviation.clone();
        let noised = normalised.mul_scalar(kept.sqrt()) + noise.mul_scalar((1.0 - kept).sqrt());
        let back = noised * self.deviation.clone() + self.mean.clone();
        let waves = sinusoids(level, channels, &back.device()).expand([batch, channels]);
        Ok(Tensor::cat(vec![back, waves], 1))
    }

    /// The condition of no picture, for classifier-free guidance: zeros `[batch, 2 * channels]`, the part of the level too.
    pub fn absent(&self, batch: usize) -> Tensor<2> {
        let [_, channels] = self.mean.dims();
        Tensor::zeros([batch, 2 * channels], &self.mean.device())
    }
}

/// Cosines, then sines, of `level` times frequencies from 1 down to 1/10000: `[1, channels]`; the last of an odd number is zero.
fn sinusoids(level: usize, channels: usize, device: &Device) -> Tensor<2> {
    let half = channels / 2;
    let angle = |at: usize| level as f64 * (-(10_000_f64.ln()) * at as f64 / half as f64).exp();
    let cosines = (0..half).map(|at| angle(at).cos() as f32);
    let mut values: Vec<f32> = cosines.chain((0..half).map(|at| angle(at).sin() as f32)).collect();
    values.resize(channels, 0.0);
    Tensor::from_data(TensorData::new(values, [1, channels]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_0_keeps_almost_everything_and_the_last_almost_nothing() {
        assert!((UnclipCondition::kept(0).unwrap() - 0.999_958_7).abs() < 1e-7);
        assert!(UnclipCondition::kept(999).unwrap() < 1e-5);
        assert_eq!(UnclipCondition::kept(1000), Err(UnclipError::Level { last: 999, found: 1000 }));
    }

    #[test]
    fn shapes_that_do_not_fit_are_named() {
        let zeros = |shape: [usize; 2]| Tensor::<2>::zeros(shape, &Device::flex());
        assert!(UnclipCondition::new(zeros([2, 4]), zeros([2, 4])).is_err());
        assert!(UnclipCondition::new(zeros([1, 4]), zeros([1, 5])).is_err());
        let condition = UnclipCondition::new(zeros([1, 5]), zeros([1, 5])).unwrap();
        assert!(condition.apply(zeros([2, 4]), zeros([2, 4]), 0).is_err());
        assert!(condition.apply(zeros([2, 5]), zeros([1, 5]), 0).is_err());
        // The sinusoids of an odd width: two cosines of 0, two sines of 0, and the zero that fills up.
        let values: Vec<f32> = condition.apply(zeros([1, 5]), zeros([1, 5]), 0).unwrap().into_data().iter().collect();
        assert_eq!(values[5..], [1.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(condition.absent(3).dims(), [3, 10]);
    }
}
