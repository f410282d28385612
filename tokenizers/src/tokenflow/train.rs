//! Losses of a TokenFlow.
//!
//! The released objective is the sum of the pixels' squared error, LPIPS (VGG16), `vq` and `commit`, the semantic term, and
//! half a hinge loss of a PatchGAN from step 20 000 on (paper, appendix table 11). Perceptual and adversarial terms are the
//! trainer's, as for all tokenizers. With probability 0.1 a step leaves out one scale other than the first.

use burn::tensor::{Int, Tensor};
use tessera_layers::Trace;

use super::{ScaleStep, SharedCodes, TokenFlowNetwork};
use crate::quantizers::{assignment_entropy, squared_distances};

/// What pictures come to.
#[derive(Debug, Clone)]
pub struct TokenFlowLosses {
    /// Mean squared error of the pixels in -1..=1.
    pub reconstruction: Tensor<1>,
    /// Pairs drawn to their latents, averaged over the scales.
    pub codebook: Tensor<1>,
    /// Latents drawn to their pairs (its weight included), averaged over the scales.
    pub commitment: Tensor<1>,
    /// Semantic features `[batch, g^2, outputs]`, for [`semantic_loss`].
    pub semantic: Tensor<3>,
    /// Tokens `[batch, tokens]` of the scales that took part.
    pub ids: Tensor<2, Int>,
    /// What these scales looked up, `[batch, tokens, semantic + pixel]`, without a gradient.
    pub compared: Tensor<3>,
    /// Reconstructed pictures in 0..=1, not clamped.
    pub image: Tensor<4>,
}

/// Losses of pictures `[batch, 3, side, side]` in 0..=1. `sides` are the scales that take part: all of them, or all but one
/// that is not the first.
pub fn losses(network: &TokenFlowNetwork, images: Tensor<4>, sides: &[usize]) -> TokenFlowLosses {
    let images = images.mul_scalar(2.0).sub_scalar(1.0);
    let latents = network.latents(images.clone(), &mut Trace::none());
    let mut compared = Vec::new();
    let mut see = |step: &ScaleStep| compared.push(step.compared.clone().detach());
    let quantized = network.quantizer().quantize(latents, sides, &mut see);
    let pixels = network.pixels(quantized.sum.clone(), &mut Trace::none());
    TokenFlowLosses {
        reconstruction: (pixels.clone() - like(images, &pixels)).square().mean(),
        codebook: quantized.codebook_loss,
        commitment: quantized.commitment_loss,
        semantic: network.semantic_features(quantized.sum, &mut Trace::none()),
        ids: quantized.ids,
        compared: Tensor::cat(compared, 1),
        image: pixels.add_scalar(1.0).mul_scalar(0.5),
    }
}

/// The part of pictures that a reconstruction covers: all but a rest that makes no whole cell.
fn like(images: Tensor<4>, pixels: &Tensor<4>) -> Tensor<4> {
    let ([batch, channels, height, width], [_, _, rows, columns]) = (images.dims(), pixels.dims());
    images.slice([0..batch, 0..channels, 0..height.min(rows), 0..width.min(columns)])
}

/// `mean(1 - cos(features, teacher))` of features `[batch, positions, channels]`. The teacher's: CLIP's patch tokens after its
/// last normalisation times its projection, or SigLIP's last layer but one; always without a gradient.
pub fn semantic_loss(features: Tensor<3>, teacher: Tensor<3>) -> Tensor<1> {
    let teacher = teacher.detach();
    let length = |x: &Tensor<3>| x.clone().square().sum_dim(2).sqrt().clamp_min(1e-8);
    let lengths = length(&features) * length(&teacher);
    let cosine = (features * teacher).sum_dim(2) / lengths;
    cosine.mean().neg().add_scalar(1.0)
}

/// Numbers that the released training logs, and its entropy term.
#[derive(Debug, Clone)]
pub struct DistanceStatistics {
    /// Sum over all codes of the squared squared distances in the semantic codebook, averaged over vectors and scales.
    pub semantic: Tensor<1>,
    /// The same in the pixel codebook.
    pub pixel: Tensor<1>,
    /// [`assignment_entropy`] of the summed distances, averaged over the scales, before its weight.
    pub entropy: Tensor<1>,
}

/// Statistics of latents `[batch, semantic + pixel, g, g]`; holds a distance for every pair of vector and code.
pub fn statistics(network: &TokenFlowNetwork, latents: Tensor<4>) -> DistanceStatistics {
    let codes = network.quantizer().codes();
    let [_, semantic, pixel] = codes.sizes();
    let (mut semantics, mut pixels, mut entropies) = (Vec::new(), Vec::new(), Vec::new());
    network.quantize(latents, &mut |step| {
        let [batch, positions, width] = step.compared.dims();
        let rows = step.compared.clone().reshape([batch * positions, width]);
        let part = |from: usize, width: usize| distances(&rows, &codes, from, width);
        let (of_semantic, of_pixel) = (part(0, semantic), part(semantic, pixel));
        semantics.push(of_semantic.clone().square().sum_dim(1).mean());
        pixels.push(of_pixel.clone().square().sum_dim(1).mean());
        entropies.push(assignment_entropy(of_semantic + of_pixel));
    });
    let mean = |parts: Vec<Tensor<1>>| Tensor::cat(parts, 0).mean();
    DistanceStatistics { semantic: mean(semantics), pixel: mean(pixels), entropy: mean(entropies) }
}

fn distances(rows: &Tensor<2>, codes: &SharedCodes, from: usize, width: usize) -> Tensor<2> {
    squared_distances(rows.clone().narrow(1, from, width), codes.rows().narrow(1, from, width))
}
