//! Losses of a DualToken.
//!
//! The released objective (its stage 1) is [`DualTokenTerms::total`] with LPIPS and an adversarial term added, whose weight
//! follows the gradients of the decoder's last layer; these two are the trainer's, as for all tokenizers. The tower of texts
//! and both logit parameters stay as they are, and codebooks learn by moving averages
//! ([`ResidualQuantizer::forward_and_update`](crate::quantizers::ResidualQuantizer::forward_and_update)).

use burn::tensor::Tensor;
use tessera_layers::Trace;

use super::{DualTokenNetwork, SemanticFeatures};
use crate::quantizers::ResidualQuantized;

/// How near semantic features are to the teacher's.
#[derive(Debug, Clone)]
pub struct SemanticLosses {
    /// Mean squared error of the features.
    pub hidden_error: Tensor<1>,
    /// Mean cosine of the features.
    pub hidden_cosine: Tensor<1>,
    /// Mean squared error of the pooled vectors.
    pub pooled_error: Tensor<1>,
    /// Mean cosine of the pooled vectors.
    pub pooled_cosine: Tensor<1>,
}

/// The terms of the loss but the perceptual and the adversarial one.
#[derive(Debug, Clone)]
pub struct DualTokenTerms {
    /// Mean squared error of the pixels in -1..=1.
    pub reconstruction: Tensor<1>,
    /// Pixel latents drawn to their codes.
    pub pixel_commitment: Tensor<1>,
    /// Semantic latents drawn to their codes.
    pub semantic_commitment: Tensor<1>,
    /// Features against the teacher's, where there is one.
    pub semantic: Option<SemanticLosses>,
}

/// What pictures come to.
#[derive(Debug, Clone)]
pub struct DualTokenLosses {
    /// What is minimised.
    pub terms: DualTokenTerms,
    /// The semantic features.
    pub features: SemanticFeatures,
    /// Reconstructed pictures in 0..=1, not clamped.
    pub image: Tensor<4>,
    /// What the decoder's last layer made them of, `[batch, width, side, side]`, without a gradient.
    pub pixel_features: Tensor<4>,
}

/// Weight of errors of features, of both commitments and of the pixels.
const WEIGHT: f64 = 5.0;

impl SemanticLosses {
    /// `5 (error - cosine)` of the features and `error - cosine` of the pooled vectors.
    pub fn total(&self) -> Tensor<1> {
        let hidden = self.hidden_error.clone() - self.hidden_cosine.clone();
        hidden.mul_scalar(WEIGHT) + (self.pooled_error.clone() - self.pooled_cosine.clone())
    }
}

impl DualTokenTerms {
    /// Their sum; `semantic_weight` is 1 in the released training.
    pub fn total(&self, semantic_weight: f64) -> Tensor<1> {
        let commitments = self.pixel_commitment.clone() + self.semantic_commitment.clone();
        let pixels = (commitments + self.reconstruction.clone()).mul_scalar(WEIGHT);
        match &self.semantic {
            Some(semantic) => pixels + semantic.total().mul_scalar(semantic_weight),
            None => pixels,
        }
    }
}

/// Compares features with those of the SigLIP that the model started from, frozen, which are taken without a gradient.
pub fn semantic_losses(features: &SemanticFeatures, teacher: &SemanticFeatures) -> SemanticLosses {
    let (hidden, pooled) = (teacher.hidden.clone().detach(), teacher.pooled.clone().detach());
    SemanticLosses {
        hidden_error: (features.hidden.clone() - hidden.clone()).square().mean(),
        hidden_cosine: cosine(features.hidden.clone(), hidden),
        pooled_error: (features.pooled.clone() - pooled.clone()).square().mean(),
        pooled_cosine: cosine(features.pooled.clone(), pooled),
    }
}

/// Losses of pictures `[batch, 3, side, side]` in 0..=1. `quantize` quantizes pixel latents (0) and semantic ones (1):
/// [`ResidualQuantizer::forward`](crate::quantizers::ResidualQuantizer::forward), or with moving tables.
pub fn losses(
    network: &DualTokenNetwork,
    images: Tensor<4>,
    teacher: Option<&SemanticFeatures>,
    quantize: &mut dyn FnMut(usize, Tensor<4>) -> ResidualQuantized,
) -> DualTokenLosses {
    let images = images.mul_scalar(2.0).sub_scalar(1.0);
    let latents = network.latents(images.clone(), &mut Trace::none());
    let (pixel, semantic) = (quantize(0, latents.pixel), quantize(1, latents.semantic));
    let features = network.semantic_features(semantic.vectors, &mut Trace::none());
    let pixel_features = network.pixel_features(pixel.vectors, &mut Trace::none());
    let pixels = network.last_layer().forward(pixel_features.clone());
    let terms = DualTokenTerms {
        reconstruction: (pixels.clone() - images).square().mean(),
        pixel_commitment: pixel.commitment_loss,
        semantic_commitment: semantic.commitment_loss,
        semantic: teacher.map(|teacher| semantic_losses(&features, teacher)),
    };
    DualTokenLosses {
        terms,
        features,
        image: pixels.add_scalar(1.0).mul_scalar(0.5),
        pixel_features: pixel_features.detach(),
    }
}

/// Mean cosine over the last dimension.
fn cosine<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<1> {
    let length = |x: &Tensor<D>| x.clone().square().sum_dim(D - 1).sqrt().clamp_min(1e-8);
    let lengths = length(&a) * length(&b);
    ((a * b).sum_dim(D - 1) / lengths).mean()
}
