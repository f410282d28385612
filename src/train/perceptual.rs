//! The perceptual term.

use burn::tensor::{Device, Tensor};

use super::TrainError;

/// The distance effd as a loss.
pub struct Perceptual {}

impl Perceptual {
    /// The network that ships with tessera.
    pub fn new(_device: &Device) -> Result<Self, TrainError> {
        Err(TrainError::Report("not merged yet".to_owned()))
    }

    /// Mean distance of two batches.
    pub fn loss(&self, image: Tensor<4>, _target: Tensor<4>) -> Tensor<1> {
        image.mean()
    }
}
