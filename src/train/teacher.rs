//! A frozen network whose features others learn to give back: EfficientNet-Lite0, in the place of CLIP.

use burn::tensor::{Device, Tensor};
use tessera_layers::perceptual::{EfficientNetLite0, Resampling, resize};

use super::TrainError;

/// The block whose map is the target of features of places: 112 channels at a stride of 16.
const BLOCK: usize = 10;
/// Pixels between two places of that map.
const STRIDE: usize = 16;

/// EfficientNet-Lite0 as a teacher. It sees pictures enlarged, since it was trained on large ones.
pub struct Teacher(EfficientNetLite0);

impl Teacher {
    /// Channels of [`Teacher::map`].
    pub const CHANNELS: usize = 112;
    /// Channels of [`Teacher::pooled`].
    pub const POOLED: usize = EfficientNetLite0::POOLED;
    /// The side that pictures are brought to where nothing else says one.
    pub const SIDE: usize = 128;

    /// The network that ships with tessera.
    ///
    /// # Errors
    /// [`TrainError::Load`] if the device cannot hold it.
    pub fn new(device: &Device) -> Result<Self, TrainError> {
        Ok(Self(crate::perceptual_net(&device.clone().without_autodiff())?))
    }

    /// Features `[batch, 112, side / 16, side / 16]` of pictures in 0..=1 brought to `side`, on the device without autodiff.
    pub fn map(&self, images: Tensor<4>, side: usize) -> Option<Tensor<4>> {
        self.0.features(Self::enlarged(images, side), &[BLOCK]).pop()
    }

    /// Features of a grid of places, row by row, `[batch, grid * grid, 112]`, of pictures in 0..=1.
    pub fn grid(&self, images: Tensor<4>, grid: usize) -> Option<Tensor<3>> {
        let map = self.map(images, STRIDE * grid)?;
        let [batch, channels, rows, columns] = map.dims();
        Some(map.reshape([batch, channels, rows * columns]).swap_dims(1, 2))
    }

    /// The last features averaged over the picture, then shifted and scaled to mean 0 and deviation 1 over their channels,
    /// `[batch, 1280]`, of pictures in 0..=1.
    pub fn pooled(&self, images: Tensor<4>) -> Tensor<2> {
        let features = self.0.pooled(Self::enlarged(images, Self::SIDE));
        let centred = features.clone() - features.mean_dim(1);
        let deviation = centred.clone().square().mean_dim(1).sqrt().clamp_min(1e-6);
        centred / deviation
    }

    fn enlarged(images: Tensor<4>, side: usize) -> Tensor<4> {
        resize(images.without_autodiff(), [side; 2], Resampling::Bilinear)
    }
}

/// Refuses a head that does not fit the teacher.
///
/// # Errors
/// [`TrainError::Invalid`] that names both sides.
pub fn check_width(key: &str, found: usize, needed: usize) -> Result<(), TrainError> {
    if found == needed {
        return Ok(());
    }
    Err(TrainError::Invalid {
        key: "loss.alignment_weight",
        expected: format!(
            "an architecture whose {key} is {needed}, the channels of the teacher (EfficientNet-Lite0), or 0"
        ),
        found: found.to_string(),
    })
}
