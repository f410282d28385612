//! The networks whose features are compared, and what the results are called.

use burn::tensor::Tensor;
use tessera_layers::perceptual::{EfficientNetLite0, Inception, Resampling, resize};

use super::{DistributionError, FeatureSet};

/// Side of the pictures that EfficientNet-Lite0 sees.
const SIDE: usize = 224;

/// A network that turns pictures into the features whose distributions are compared.
#[derive(Debug, Clone)]
pub enum FeatureNet {
    /// The built-in network, see [`perceptual_net`](crate::perceptual_net).
    EfficientNetLite0(Box<EfficientNetLite0>),
    /// The network of FID, from the user's file.
    Inception(Box<Inception>),
}

impl FeatureNet {
    /// What a kernel distance of these features is called.
    pub fn kernel_name(&self) -> &'static str {
        match self {
            Self::EfficientNetLite0(_) => "KID-EffLite0",
            Self::Inception(_) => "KID",
        }
    }

    /// What a Frechet distance of these features is called: FID with Inception's alone.
    pub fn frechet_name(&self) -> &'static str {
        match self {
            Self::EfficientNetLite0(_) => "FD-EffLite0",
            Self::Inception(_) => "FID",
        }
    }

    /// Length of a picture's features.
    pub fn width(&self) -> usize {
        match self {
            Self::EfficientNetLite0(_) => EfficientNetLite0::POOLED,
            Self::Inception(_) => Inception::FEATURES,
        }
    }

    /// Adds the features of pictures to `set`: `rgb` is `[batch, 3, height, width]` in 0..=1, of any size. Each network
    /// sees them at its own: EfficientNet-Lite0 at 224x224 (bicubic), Inception at 299x299 (bilinear).
    ///
    /// # Errors
    /// [`DistributionError`] if `set` holds features of another length, or the device gave none that are finite.
    pub fn add(&self, rgb: Tensor<4>, set: &mut FeatureSet) -> Result<(), DistributionError> {
        let features = match self {
            Self::EfficientNetLite0(net) => net.pooled(resize(rgb, [SIDE, SIDE], Resampling::Bicubic).clamp(0.0, 1.0)),
            Self::Inception(net) => net.features(rgb),
        };
        let data = features.into_data().try_to_vec::<f32>();
        set.extend(&data.map_err(|error| DistributionError::Device(tessera_shaders::device::in_one_line(&error)))?)
    }

    /// An empty set for this network's features.
    pub fn empty_set(&self) -> FeatureSet {
        FeatureSet::new(self.width())
    }
}
