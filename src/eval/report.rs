//! What an evaluation found, picture by picture and in the mean.

use std::collections::BTreeMap;

use serde::Serialize;

use super::baseline::Baseline;
use super::psnr::psnr_of;
use super::sets::SetDistances;
use super::usage::DepthUsage;

/// Named figures, such as those of [`PerceptualMetric`](super::PerceptualMetric)s.
pub type Figures = BTreeMap<String, f64>;

/// All figures of one evaluation. Infinite figures (the PSNR of equal pictures) are `null` in JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The model that was evaluated.
    pub model: ModelFacts,
    /// How the pictures met the model.
    pub framing: FramingFacts,
    /// Pictures evaluated.
    pub pictures: usize,
    /// Seconds that encoding took, pictures of all sizes together.
    pub encode_seconds: f64,
    /// One point for each token count, then one for each baseline, in the order asked for.
    pub points: Vec<Point>,
}

/// What identifies a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelFacts {
    /// Architecture, such as `one-d-piece`.
    pub architecture: &'static str,
    /// The release whose configuration this is, if it is one.
    pub release: Option<&'static str>,
    /// Hash of configuration and weights.
    pub fingerprint: String,
    /// Numbers in the weights.
    pub parameters: usize,
    /// Vocabulary size of each depth.
    pub vocab: Vec<u32>,
}

/// How the pictures met the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FramingFacts {
    /// Side of the model's square in pixels.
    pub side: u32,
    /// Whether pictures kept their size and were encoded in tiles of that side; else they were resized to it.
    pub tiled: bool,
    /// Pixels that neighbouring tiles shared.
    pub overlap: u32,
}

/// How the pictures of a point were coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Method {
    /// By the model, with so many tokens a square.
    Tokens {
        /// Tokens of each square.
        tokens: usize,
    },
    /// By a codec.
    Baseline(Baseline),
}

impl Method {
    /// `tokens`, or the codec's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tokens { .. } => "tokens",
            Self::Baseline(baseline) => baseline.codec.name(),
        }
    }

    /// The number of tokens, or the codec's quality.
    pub fn setting(&self) -> usize {
        match self {
            Self::Tokens { tokens } => *tokens,
            Self::Baseline(baseline) => baseline.quality.into(),
        }
    }
}

/// One way to code all pictures, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// How the pictures were coded.
    pub method: Method,
    /// Means over the pictures.
    pub mean: Mean,
    /// Usage of the codebook of each depth by the tokens of this point; empty for a codec.
    pub usage: Vec<DepthUsage>,
    /// Distances of the set of decoded pictures from the originals, by name: `KID-EffLite0`, `KID`, `FID`.
    pub sets: SetDistances,
    /// Seconds that decoding took; for a codec, encoding and decoding.
    pub seconds: f64,
    /// Every picture.
    pub pictures: Vec<Quality>,
}

/// Means over the pictures of a point.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Mean {
    /// Mean bits per pixel: tokens x log2(vocabulary) / pixels; of a codec, the whole file's.
    pub bits_per_pixel: f64,
    /// Mean bits per pixel of whole files: `.tsr` files with header and checksums, or the codec's.
    pub file_bits_per_pixel: f64,
    /// Mean size of these files.
    pub file_bytes: f64,
    /// Mean of the pictures' PSNRs.
    pub psnr_db: f64,
    /// PSNR of the mean squared error of the whole set, each picture counting the same.
    pub psnr_of_mean_mse_db: f64,
    /// Mean SSIM of the pictures that have one.
    pub ssim: Option<f64>,
    /// Mean MS-SSIM of the pictures that are large enough.
    pub ms_ssim: Option<f64>,
    /// Pictures that are large enough for MS-SSIM.
    pub ms_ssim_pictures: usize,
    /// Mean distances of the networks.
    pub perceptual: Figures,
}

/// One picture of a point.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quality {
    /// Name of the picture, as it was given.
    pub name: String,
    /// Width as it was compared, in pixels.
    pub width: u32,
    /// Height as it was compared.
    pub height: u32,
    /// As in [`Mean`].
    pub bits_per_pixel: f64,
    /// As in [`Mean`].
    pub file_bytes: usize,
    /// Mean squared error over all bytes.
    pub mse: f64,
    /// PSNR over all bytes of the decoded picture, rounded to 8 bits.
    pub psnr_db: f64,
    /// SSIM, from 11 pixels a side.
    pub ssim: Option<f64>,
    /// MS-SSIM, from 161 pixels a side.
    pub ms_ssim: Option<f64>,
    /// Distances of the networks.
    pub perceptual: Figures,
}

impl Quality {
    /// Bits per pixel of the whole file.
    pub fn file_bits_per_pixel(&self) -> f64 {
        8.0 * self.file_bytes as f64 / (f64::from(self.width) * f64::from(self.height))
    }
}

impl Mean {
    /// The means over some pictures.
    pub fn of(pictures: &[Quality]) -> Self {
        let mean = |of: &dyn Fn(&Quality) -> f64| average(pictures.iter().map(of)).unwrap_or(f64::NAN);
        let names = pictures.first().map(|picture| picture.perceptual.keys()).into_iter().flatten();
        let distance = |name: &String| {
            let mean = average(pictures.iter().filter_map(|picture| picture.perceptual.get(name).copied()))?;
            Some((name.clone(), mean))
        };
        Self {
            bits_per_pixel: mean(&|picture| picture.bits_per_pixel),
            file_bits_per_pixel: mean(&Quality::file_bits_per_pixel),
            file_bytes: mean(&|picture| picture.file_bytes as f64),
            psnr_db: mean(&|picture| picture.psnr_db),
            psnr_of_mean_mse_db: psnr_of(mean(&|picture| picture.mse)),
            ssim: average(pictures.iter().filter_map(|picture| picture.ssim)),
            ms_ssim: average(pictures.iter().filter_map(|picture| picture.ms_ssim)),
            ms_ssim_pictures: pictures.iter().filter(|picture| picture.ms_ssim.is_some()).count(),
            perceptual: names.filter_map(distance).collect(),
        }
    }
}

fn average(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}
