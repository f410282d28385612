//! The perceptual term.

use burn::tensor::{Device, Tensor};
use tessera_layers::perceptual::Effd;

use super::TrainError;

/// The distance effd as a loss.
pub struct Perceptual(Effd);

impl Perceptual {
    /// The network that ships with tessera; `device` has no autodiff, since the network does not learn.
    ///
    /// # Errors
    /// [`TrainError::Load`] if the device cannot hold it.
    pub fn new(device: &Device) -> Result<Self, TrainError> {
        Ok(Self(Effd::training(crate::perceptual_net(device)?)))
    }

    /// Mean distance between reconstructions and pictures, both `[batch, 3, side, side]`.
    pub fn loss(&self, images: Tensor<4>, targets: Tensor<4>) -> Tensor<1> {
        self.0.loss(images, targets).mean()
    }
}
