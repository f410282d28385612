//! Latents without a trained autoencoder: the low spatial frequencies of small patches of a picture.
//!
//! A fixed orthonormal transform: the three colours of a pixel to brightness and two colour differences, each plane of a patch
//! to its two-dimensional DCT-II, of which the lowest coefficients are kept. What is kept comes back exactly; there is nothing to
//! train and next to nothing to compute. For small models, in the place of an
//! [`AutoencoderKl`](crate::autoencoder_kl::AutoencoderKl); no release uses it.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tessera_shaders::{PatchOrder, patchify, unpatchify};

use crate::{ConfigError, dct};

const CLASS: &str = "PatchDct";

/// Which coefficients are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchDctConfig {
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Coefficients of the brightness, lowest frequencies first.
    pub luma: usize,
    /// Coefficients of each of the two colour differences.
    pub chroma: usize,
    /// What latents are multiplied by before a generator sees them; 1 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling_factor: Option<f64>,
    /// Side of the pictures that generators learn, in pixels; 16 patches where absent. Pictures of any size go through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_size: Option<usize>,
}

impl PatchDctConfig {
    /// Patches of `patch` pixels, of which `luma` coefficients of the brightness and `chroma` of each colour difference are kept.
    pub fn new(patch: usize, luma: usize, chroma: usize) -> Self {
        Self { patch, luma, chroma, scaling_factor: None, sample_size: None }
    }

    /// Whether a document says that it describes this transform.
    pub fn recognises(document: &Value) -> bool {
        document.get("_class_name").and_then(Value::as_str) == Some(CLASS)
    }

    /// Reads `{"_class_name": "PatchDct", "patch": ..., "luma": ..., "chroma": ...}`.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is missing or does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let mut keys = document.clone();
        if let Value::Object(keys) = &mut keys {
            keys.remove("_class_name");
        }
        let config: Self = serde_json::from_value(keys)
            .map_err(|error| ConfigError::invalid("vae.architecture", "patch, luma and chroma", error.to_string()))?;
        if !(1..=64).contains(&config.patch) {
            return Err(ConfigError::invalid("patch", "a number from 1 to 64", config.patch.to_string()));
        }
        let most = config.patch * config.patch;
        for (key, value, least) in [("luma", config.luma, 1), ("chroma", config.chroma, 0)] {
            if !(least..=most).contains(&value) {
                return Err(ConfigError::invalid(key, format!("a number from {least} to {most}"), value.to_string()));
            }
        }
        if let Some(factor) = config.scaling_factor
            && !(factor > 0.0 && factor.is_finite())
        {
            return Err(ConfigError::invalid("scaling_factor", "a number above 0", factor.to_string()));
        }
        if let Some(side) = config.sample_size
            && !((1..=1 << 16).contains(&side) && side.is_multiple_of(config.patch))
        {
            let expected = format!("a multiple of the patch, {}", config.patch);
            return Err(ConfigError::invalid("sample_size", expected, side.to_string()));
        }
        Ok(config)
    }

    /// The configuration as [`PatchDctConfig::from_value`] reads it.
    pub fn to_value(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Value::Object(keys) = &mut value {
            keys.insert("_class_name".to_owned(), json!(CLASS));
        }
        value
    }

    /// Channels of the latents.
    pub fn channels(&self) -> usize {
        self.luma + 2 * self.chroma
    }

    /// Pictures `[batch, 3, H, W]` to latents `[batch, channels, H / patch, W / patch]`; `patch` divides the sides.
    pub fn encode(&self, image: Tensor<4>) -> Tensor<4> {
        let [batch, _, height, width] = image.dims();
        let [rows, columns] = [height, width].map(|side| side / self.patch);
        let basis = self.basis(&image.device());
        let latents = patchify(image, self.patch, PatchOrder::ChannelsLast).matmul(basis.unsqueeze::<3>());
        latents.swap_dims(1, 2).reshape([batch, self.channels(), rows, columns])
    }

    /// Latents `[batch, channels, h, w]` to pictures `[batch, 3, h * patch, w * patch]`; not clamped.
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        let [batch, channels, rows, columns] = latents.dims();
        let basis = self.basis(&latents.device()).transpose();
        let patches = latents.reshape([batch, channels, rows * columns]).swap_dims(1, 2);
        unpatchify(patches.matmul(basis.unsqueeze::<3>()), [rows, columns], self.patch, PatchOrder::ChannelsLast)
    }

    /// `[patch * patch * 3, channels]`, its columns of length one and at right angles.
    fn basis(&self, device: &Device) -> Tensor<2> {
        // Brightness, red against blue, green against both.
        let colours: [([f32; 3], usize); 3] =
            [([1.0, 1.0, 1.0], self.luma), ([1.0, 0.0, -1.0], self.chroma), ([-1.0, 2.0, -1.0], self.chroma)];
        let rows = self.patch * self.patch * 3;
        let mut values = Vec::with_capacity(rows * self.channels());
        for (colour, kept) in colours {
            let length = colour.iter().map(|share| share * share).sum::<f32>().sqrt();
            let waves = dct::values(kept, [self.patch; 2]);
            values.extend(waves.iter().flat_map(|wave| colour.map(|share| wave * share / length)));
        }
        Tensor::<2>::from_data(TensorData::new(values, [self.channels(), rows]), device).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Tensor<4> {
        let values = (0..2 * 3 * 8 * 12).map(|i| (i as f32 * 0.37).sin()).collect();
        Tensor::from_data(TensorData::new::<f32, _>(values, [2, 3, 8, 12]), &Device::flex())
    }

    fn largest(x: Tensor<4>) -> f32 {
        x.abs().max().into_data().iter().next().unwrap_or(f32::NAN)
    }

    #[test]
    fn all_coefficients_give_the_picture_back() {
        let whole = PatchDctConfig::new(4, 16, 16);
        let latents = whole.encode(picture());
        assert_eq!(latents.dims(), [2, 48, 2, 3]);
        assert!(largest(whole.decode(latents.clone()) - picture()) < 1e-5);
        let energy = |x: Tensor<4>| x.square().sum().into_data().iter::<f32>().next().unwrap();
        assert!((energy(latents) / energy(picture()) - 1.0).abs() < 1e-4, "lengths are kept");
    }

    #[test]
    fn what_is_kept_is_kept_exactly() {
        let few = PatchDctConfig::new(4, 6, 2);
        let latents = few.encode(picture());
        assert!(largest(few.encode(few.decode(latents.clone())) - latents) < 1e-5);
        let flat = Tensor::<4>::ones([1, 3, 4, 4], &Device::flex()).mul_scalar(0.3);
        assert!(largest(few.decode(few.encode(flat.clone())) - flat) < 1e-6);
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let read = |patch: i64, luma: i64, chroma: i64| {
            let document = json!({ "_class_name": CLASS, "patch": patch, "luma": luma, "chroma": chroma });
            PatchDctConfig::from_value(&document)
        };
        assert!(read(4, 16, 0).is_ok_and(|config| PatchDctConfig::from_value(&config.to_value()) == Ok(config)));
        for (patch, luma, chroma) in [(0, 1, 0), (65, 1, 0), (4, 0, 1), (4, 17, 0), (4, 1, 17), (4, -1, 0)] {
            assert!(read(patch, luma, chroma).is_err(), "{patch} {luma} {chroma}");
        }
    }
}
