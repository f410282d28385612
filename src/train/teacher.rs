//! A frozen network whose features others learn to give back: EfficientNet-Lite0, in the place of CLIP.

use burn::tensor::{Device, Tensor};
use tessera_layers::perceptual::{EfficientNetLite0, Resampling, resize};

use super::TrainError;

/// The block whose map is the target of features of places: 112 channels at a stride of 16.
const BLOCK: usize = 10;
/// Pixels between two places of that map.
const STRIDE: usize = 16;

/// Which of the teacher's features places are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Those of block 10: what is at a place. 112 channels.
    Places,
    /// The last: what a place is part of. 1280 channels, enlarged from half as many places a side.
    Last,
}

impl Target {
    /// Channels.
    pub fn width(self) -> usize {
        match self {
            Self::Places => 112,
            Self::Last => Teacher::POOLED,
        }
    }

    /// The target that has `width` channels, which an architecture has under `key`.
    ///
    /// # Errors
    /// [`TrainError::Invalid`] if none has.
    pub fn of_width(key: &str, width: usize) -> Result<Self, TrainError> {
        let both = [Self::Places, Self::Last];
        both.into_iter().find(|target| target.width() == width).ok_or_else(|| {
            let widths = both.map(|target| target.width().to_string()).join(" or ");
            misfit(key, &widths, width)
        })
    }
}

/// EfficientNet-Lite0 as a teacher. It sees pictures enlarged, since it was trained on large ones.
pub struct Teacher(EfficientNetLite0);

impl Teacher {
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

    /// Features `[batch, channels, h, w]` of pictures in 0..=1 brought to `side`, on the device without autodiff.
    pub fn map(&self, images: Tensor<4>, target: Target, side: usize) -> Tensor<4> {
        let images = Self::enlarged(images, side);
        match target {
            Target::Places => self.0.up_to(images, BLOCK),
            Target::Last => self.0.last(images),
        }
    }

    /// Features of a grid of places, row by row, `[batch, grid * grid, channels]`, of pictures in 0..=1.
    pub fn grid(&self, images: Tensor<4>, target: Target, grid: usize) -> Tensor<3> {
        let map = resize(self.map(images, target, STRIDE * grid), [grid; 2], Resampling::Bilinear);
        let [batch, channels, rows, columns] = map.dims();
        map.reshape([batch, channels, rows * columns]).swap_dims(1, 2)
    }

    /// The last features averaged over the picture, then shifted and scaled to mean 0 and deviation 1 over their channels,
    /// `[batch, 1280]`, of pictures in 0..=1.
    pub fn pooled(&self, images: Tensor<4>) -> Tensor<2> {
        standardised(self.0.pooled(Self::enlarged(images, Self::SIDE)))
    }

    /// [`Teacher::map`] of pictures brought to [`Teacher::SIDE`], and [`Teacher::pooled`].
    pub fn both(&self, images: Tensor<4>, target: Target) -> (Tensor<4>, Tensor<2>) {
        match target {
            Target::Places => (self.map(images.clone(), target, Self::SIDE), self.pooled(images)),
            Target::Last => {
                let map = self.map(images, target, Self::SIDE);
                let pooled = map.clone().mean_dim(3).mean_dim(2).squeeze_dim::<3>(3).squeeze_dim(2);
                (map, standardised(pooled))
            }
        }
    }

    fn enlarged(images: Tensor<4>, side: usize) -> Tensor<4> {
        resize(images.without_autodiff(), [side; 2], Resampling::Bilinear)
    }
}

fn standardised(features: Tensor<2>) -> Tensor<2> {
    let centred = features.clone() - features.mean_dim(1);
    let deviation = centred.clone().square().mean_dim(1).sqrt().clamp_min(1e-6);
    centred / deviation
}

/// Refuses a head that does not fit the teacher.
///
/// # Errors
/// [`TrainError::Invalid`] that names both sides.
pub fn check_width(key: &str, found: usize, needed: usize) -> Result<(), TrainError> {
    if found == needed { Ok(()) } else { Err(misfit(key, &needed.to_string(), found)) }
}

fn misfit(key: &str, needed: &str, found: usize) -> TrainError {
    TrainError::Invalid {
        key: "loss.alignment_weight",
        expected: format!(
            "an architecture whose {key} is {needed}, the channels of the teacher (EfficientNet-Lite0), or 0"
        ),
        found: found.to_string(),
    }
}
