//! How good is a tokenizer? Quality, rate and codebook usage over a set of pictures, beside JPEG and WebP.
//!
//! ```text
//! pictures ──framed──▶ Evaluation ──encode once──▶ tokens ──each prefix──▶ decoded ─┐
//!                          └───────── each Baseline (JPEG, WebP) ────────▶ decoded ─┴─ metrics ─▶ Report ─▶ chart
//! ```
//!
//! | figure | is | equals |
//! |---|---|---|
//! | bits per pixel | tokens x log2(vocabulary) / pixels; a codec's whole file | [`token_bits`] |
//! | file bits per pixel | the whole `.tsr` file, header and checksums included | |
//! | PSNR | per picture over all bytes, rounded to 8 bits; mean of the dB, and dB of the mean error | [`psnr_of`] |
//! | SSIM | red, green and blue apart, then averaged; 11x11 Gaussian | `pytorch-msssim`, scikit-image: [`ssim()`] |
//! | MS-SSIM | the same over five scales; from 161 pixels a side | `pytorch-msssim`: [`ms_ssim()`] |
//! | usage, perplexity | of the codes of all tokens of a token count, by depth | [`CodeUsage`] |
//! | effd, LPIPS | distances that networks measure; effd's is built in | [`PerceptualMetric`] |
//! | KID-EffLite0, KID, FID | distances of the set of decoded pictures from the set of originals | [`FeatureNet`] |
//!
//! [`compare_samples`] does the last for a generator's samples, and looks for training pictures among them.
//!
//! [`compare_neighbours`] asks whether a tokenizer's vectors keep classes of pictures apart.
//!
//! Shapes are compared by [`compare_shapes`]: Chamfer distances, F-scores, shared volume, soundness. [`ShapeEvaluation`] sums up what each
//! prefix of a tokenizer's tokens decodes to.
//!
//! Pictures are compared as the model sees them: the resized square, or the whole picture where it is tiled. Codecs get
//! the same pictures.

mod baseline;
mod chart;
mod distribution;
mod evaluate;
mod feature_net;
mod ms_ssim;
mod nearest;
mod neighbours;
mod perceptual;
mod planes;
mod psnr;
mod rate;
mod report;
mod samples;
mod sets;
mod shape_prefixes;
mod shapes;
mod ssim;
mod usage;

pub use baseline::{Baseline, Codec};
pub use chart::rate_distortion_svg;
pub use distribution::{
    DistributionError, FeatureSet, KernelDistance, KernelOptions, frechet_distance, kernel_distance,
};
pub use evaluate::{Evaluation, EvaluationOptions, Judges};
pub use feature_net::FeatureNet;
pub use ms_ssim::{LEAST_MS_SSIM_SIDE, ms_ssim, similarities};
pub use nearest::{Nearest, nearest};
pub use neighbours::{
    LabelledVectors, NeighbourFigure, NeighbourReport, compare_neighbours, labelled_vectors, neighbour_accuracy,
};
pub use perceptual::{EffdMetric, LpipsMetric, PerceptualMetric};
pub use psnr::{mean_squared_error, psnr_of};
pub use rate::token_bits;
pub use report::{Figures, FramingFacts, Mean, Method, ModelFacts, Point, Quality, Report};
pub use samples::{Repetition, SampleReport, compare_samples};
pub use sets::{SetDistance, SetDistances};
pub use shape_prefixes::{PrefixMean, ShapeEvaluation, ShapeModelReport, ShapePrefix, shape_prefixes};
pub use shapes::{MeasuredShape, ShapeFigures, ShapeOptions, ShapePair, ShapeReport, compare_shapes};
pub use ssim::ssim;
pub use usage::{CodeUsage, DepthUsage};

use tessera_datasets::{DatasetError, Picture};

/// Refuses to compare pictures of different sizes.
fn same_size(a: &Picture, b: &Picture) -> Result<(), DatasetError> {
    if (a.width(), a.height()) == (b.width(), b.height()) {
        return Ok(());
    }
    Err(DatasetError::SizeMismatch {
        expected_width: a.width(),
        expected_height: a.height(),
        width: b.width(),
        height: b.height(),
    })
}
