//! The network that is built into the program for perceptual distances.

use burn::tensor::Device;
use tessera_layers::checkpoint::{CheckpointError, Weights};
use tessera_layers::perceptual::EfficientNetLite0;

const WEIGHTS: &[u8] = include_bytes!("../models/efficientnet-lite0/model.safetensors");

/// EfficientNet-Lite0 of `models/efficientnet-lite0`, for [`Effd`](tessera_layers::perceptual::Effd) and for features whose
/// statistics are compared. Its model card says where it comes from (Apache-2.0) and what it is good for.
///
/// # Errors
/// [`CheckpointError`] if the built-in file does not fit the network, which the tests exclude.
pub fn perceptual_net(device: &Device) -> Result<EfficientNetLite0, CheckpointError> {
    EfficientNetLite0::load(&Weights::embedded("built-in efficientnet-lite0", WEIGHTS)?, device)
}
