//! Losses of pixels beside those of SEED's second stage.

use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData, module};
use rand::Rng;
use rand_distr::{Distribution as _, StandardNormal};
use tessera_layers::Trace;

use super::config::{PixelConfig, PixelKind};
use super::model::{SeedPixelsNetwork, Shown};
use crate::TokenizerError;
use crate::quantizers::l2_normalise;
use crate::seed::LossWeights;
use crate::seed::train::{CodecLosses, codec_losses_through, two_view_loss};

/// What chance decides for one item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelDraw {
    /// What the pixel decoder is shown.
    pub shown: Shown,
    /// Share of noise, and time: 0 is clean. Without effect where the decoder is no flow.
    pub time: f32,
}

/// Draws for a batch: prefixes of uniform length, conditions left out for guidance, times the logistic function of normals.
pub fn draw(config: &PixelConfig, tokens: usize, batch: usize, rng: &mut impl Rng) -> Vec<PixelDraw> {
    let is_flow = config.kind == PixelKind::Flow;
    (0..batch)
        .map(|_| {
            let is_prefix = rng.random::<f64>() < config.prefix_probability;
            let length = rng.random_range(1..=tokens.max(1));
            let is_null = rng.random::<f64>() < config.null_probability && is_flow;
            let normal: f32 = StandardNormal.sample(rng);
            let keep = if is_prefix { length } else { tokens };
            PixelDraw { shown: Shown { keep, is_null }, time: 1.0 / (1.0 + (-normal).exp()) }
        })
        .collect()
}

/// What a batch comes to.
#[derive(Debug, Clone)]
pub struct PixelLosses {
    /// SEED's own losses, of all tokens.
    pub codec: CodecLosses,
    /// The pixels' loss before its weight: mean squared error of the velocity, or [`picture_loss`].
    pub pixels: Tensor<1>,
    /// Pictures in 0..=1, not clamped; `None` of a flow.
    pub pictures: Option<Tensor<4>>,
}

/// What is learnt from at once.
#[derive(Debug, Clone)]
pub struct PixelBatch {
    /// Causal embeddings `[batch, tokens, width]`.
    pub embeddings: Tensor<3>,
    /// The pictures in 0..=1 at the decoder's side, `[batch, 3, side, side]`.
    pub images: Tensor<4>,
    /// Standard normal noise of their shape; only a flow takes notice.
    pub noise: Tensor<4>,
    /// One for each picture.
    pub draws: Vec<PixelDraw>,
    /// As of [`codec_losses`](crate::seed::train::codec_losses).
    pub teacher: Option<Tensor<3>>,
    /// Whether gradients go on into the embeddings; otherwise they end there, as in SEED's second stage.
    pub trains_encoder: bool,
}

/// Losses of a batch: SEED's own, and the pixels'.
///
/// Pixels' gradients pass the quantizer straight through to `encode_task_layer`. Prefixes are shown to pixels alone, SEED's own losses
/// see all tokens.
///
/// # Errors
/// [`TokenizerError::Input`] if shapes do not fit.
pub fn pixel_losses(
    network: &SeedPixelsNetwork,
    batch: PixelBatch,
    weights: &LossWeights,
) -> Result<PixelLosses, TokenizerError> {
    let PixelBatch { embeddings, images, noise, draws, teacher, trains_encoder } = batch;
    let (side, [batch, ..]) = (network.pixels().side(), embeddings.dims());
    let expected = [batch, 3, side, side];
    if images.dims() != expected || noise.dims() != expected || draws.len() != batch {
        let found = format!("{:?}, {:?} and {} draws", images.dims(), noise.dims(), draws.len());
        return Err(TokenizerError::Input {
            what: "pictures, noise and draws",
            expected: format!("{expected:?} twice and {batch} draws"),
            found,
        });
    }
    let embeddings = if trains_encoder { embeddings } else { embeddings.detach() };
    let codec = codec_losses_through(network.seed().codec(), embeddings, teacher, weights, &mut Trace::none())?;
    let shown: Vec<Shown> = draws.iter().map(|draw| draw.shown).collect();
    let condition = network.condition(codec.dequantized.clone(), &shown);
    let target = images.mul_scalar(2.0).sub_scalar(1.0);
    if let Some(pictures) = network.pixels().pictures(condition.clone()) {
        let pixels = match network.squared_error() {
            weight if weight > 0.0 => {
                let squared = (pictures.clone() - target.clone()).square().mean();
                picture_loss(pictures.clone(), target) + squared.mul_scalar(weight)
            }
            _ => picture_loss(pictures.clone(), target),
        };
        let pictures = Some(pictures.add_scalar(1.0).mul_scalar(0.5));
        return Ok(PixelLosses { codec, pixels, pictures });
    }
    let times: Vec<f32> = draws.iter().map(|draw| draw.time).collect();
    let share = Tensor::<4>::from_data(TensorData::new(times.clone(), [batch, 1, 1, 1]), &target.device());
    let noised = noise.clone() * share.clone() + target.clone() * share.neg().add_scalar(1.0);
    let velocity = network
        .pixels()
        .velocity(noised, condition, &times)
        .ok_or_else(|| TokenizerError::Unsupported("the pixel decoder is neither a flow nor of one pass".to_owned()))?;
    let pixels = (velocity - (noise - target)).square().mean();
    Ok(PixelLosses { codec, pixels, pictures: None })
}

/// What keeps an encoder that is trained with pixels discriminative: two views of each picture, as causal embeddings
/// `[batch, tokens, width]` each, must find each other by their last tokens, which alone have seen all others, before the
/// quantizer and behind it. Similarities are divided by `temperature`.
pub fn view_contrast(network: &SeedPixelsNetwork, first: Tensor<3>, second: Tensor<3>, temperature: f32) -> Tensor<1> {
    let codec = network.seed().codec();
    let quantized = |embeddings: &Tensor<3>| {
        let vectors = codec.quantizer().forward(codec.latents(embeddings.clone())).vectors;
        codec.dequantize(vectors, &mut Trace::none())
    };
    let last = |x: Tensor<3>| {
        let [batch, tokens, width] = x.dims();
        l2_normalise(x.slice([0..batch, tokens.saturating_sub(1)..tokens, 0..width]).reshape([batch, width]))
    };
    let temperature = Tensor::<1>::from_floats([temperature], &first.device());
    let behind = two_view_loss(last(quantized(&first)), last(quantized(&second)), temperature.clone());
    (two_view_loss(last(first), last(second), temperature) + behind).div_scalar(2.0)
}

/// `L1 + 0.2 (1 - SSIM) +` L1 of the differences between neighbouring pixels, of pictures `[batch, 3, side, side]` in -1..=1.
pub fn picture_loss(found: Tensor<4>, target: Tensor<4>) -> Tensor<1> {
    let absolute = (found.clone() - target.clone()).abs().mean();
    let likeness = ssim(found.clone(), target.clone());
    let mut loss = absolute + likeness.neg().add_scalar(1.0).mul_scalar(0.2);
    for dim in [2, 3] {
        let side = found.dims()[dim];
        if side > 1 {
            let slope = |x: &Tensor<4>| x.clone().narrow(dim, 1, side - 1) - x.clone().narrow(dim, 0, side - 1);
            loss = loss + (slope(&found) - slope(&target)).abs().mean();
        }
    }
    loss
}

/// Mean structural similarity of pictures in -1..=1, each colour by itself: a Gaussian window of 11 pixels (deviation 1.5), or the widest
/// odd one that fits, and no padding. Source: Wang et al. 2004.
pub fn ssim(a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
    // Both constants are for a range of 2, that of -1..=1.
    const C1: f64 = 0.02 * 0.02;
    const C2: f64 = 0.06 * 0.06;
    let [_, channels, height, width] = a.dims();
    let side = height.min(width).min(11);
    let side = if side % 2 == 0 { side.saturating_sub(1) } else { side };
    let weights: Vec<f64> = (0..side).map(|at| (-((at as f64 - (side / 2) as f64).powi(2)) / 4.5).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let weights: Vec<f32> = weights.iter().map(|weight| (weight / sum) as f32).cycle().take(channels * side).collect();
    let row = Tensor::<4>::from_data(TensorData::new(weights, [channels, 1, 1, side]), &a.device());
    let column = row.clone().swap_dims(2, 3);
    let options = || ConvOptions::new([1, 1], [0, 0], [1, 1], channels);
    let blurred =
        |x: Tensor<4>| module::conv2d(module::conv2d(x, row.clone(), None, options()), column.clone(), None, options());
    let (mean_a, mean_b) = (blurred(a.clone()), blurred(b.clone()));
    let (square_a, square_b, product) =
        (mean_a.clone().square(), mean_b.clone().square(), mean_a.clone() * mean_b.clone());
    let variance_a = blurred(a.clone().square()) - square_a.clone();
    let variance_b = blurred(b.clone().square()) - square_b.clone();
    let covariance = blurred(a * b) - product.clone();
    let above = product.mul_scalar(2.0).add_scalar(C1) * covariance.mul_scalar(2.0).add_scalar(C2);
    let below = (square_a + square_b).add_scalar(C1) * (variance_a + variance_b).add_scalar(C2);
    (above / below).mean()
}
