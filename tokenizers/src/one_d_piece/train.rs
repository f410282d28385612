//! Training losses of One-D-Piece and TiTok.
//!
//! Source: arXiv 2406.07550 section 3 (two stages), arXiv 2501.10064 section 3 (tail token drop), released configs.

use burn::tensor::{Int, Tensor};
use tessera_layers::{Trace, cross_entropy};

use super::OneDPieceNetwork;
use super::decoder::Decoded;

/// Losses of the first training stage.
#[derive(Debug, Clone)]
pub struct Stage1Losses {
    /// Cross-entropy of the proxy codes plus the quantizer loss; what is minimised.
    pub total: Tensor<1>,
    /// Mean cross-entropy over cells.
    pub cross_entropy: Tensor<1>,
    /// Commitment and codebook loss, over all tokens.
    pub quantizer: Tensor<1>,
    /// `[batch, grid * grid, proxy codes]`.
    pub logits: Tensor<3>,
    /// `[batch, latents]`: the codes that were used.
    pub indices: Tensor<2, Int>,
    /// `[batch, latents, token_size]`: what the encoder made, as the codebook compares it, without a gradient.
    pub latents: Tensor<3>,
}

/// First stage: predict the proxy tokenizer's codes `[batch, grid * grid]` from the first `keep` tokens.
///
/// `keep` is drawn uniformly from `1..=latents` once per step for One-D-Piece (tail token drop), and is the number of
/// latents for TiTok. The quantizer loss covers every token. `None` for a single-stage network.
pub fn stage1_losses(
    network: &OneDPieceNetwork,
    image: Tensor<4>,
    target_codes: Tensor<2, Int>,
    keep: usize,
    quantizer_weight: f64,
) -> Option<Stage1Losses> {
    let quantized = network.quantizer().forward(network.latents(image, &mut Trace::none()));
    let vectors = keep_prefix(quantized.vectors.clone(), keep);
    let Decoded::Logits(logits) = network.decode_vectors(vectors, &mut Trace::none()) else {
        return None;
    };
    let cross_entropy = cross_entropy(logits.clone(), target_codes);
    let quantizer = quantized.loss();
    Some(Stage1Losses {
        total: cross_entropy.clone() + quantizer.clone().mul_scalar(quantizer_weight),
        cross_entropy,
        quantizer,
        logits,
        indices: quantized.indices,
        latents: quantized.latents.detach(),
    })
}

/// Losses against pixels: a single-stage model, or the second of two stages.
#[derive(Debug, Clone)]
pub struct PixelLosses {
    /// Mean squared error of the picture.
    pub reconstruction: Tensor<1>,
    /// Commitment and codebook loss, over all tokens; `None` where the codebook takes no part in training.
    pub quantizer: Option<Tensor<1>>,
    /// `[batch, latents]`: the codes that were used; `None` without quantizing.
    pub indices: Option<Tensor<2, Int>>,
    /// `[batch, latents, token_size]`: what the encoder made, as the codebook compares it, without a gradient.
    pub latents: Tensor<3>,
    /// `[batch, 3, crop, crop]`, not clamped.
    pub image: Tensor<4>,
}

/// What the codebook does in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantizing {
    /// Latents pass it by: a start for codebooks that are then made of latents.
    Free,
    /// It quantizes and learns.
    Trained,
    /// It quantizes and stays, and so does the encoder: the second of two stages.
    Frozen,
}

/// Reconstructs pixels from the first `keep` tokens. Perceptual and adversarial terms, where wanted, are the caller's to
/// add. `None` for a network of the first of two stages.
pub fn pixel_losses(
    network: &OneDPieceNetwork,
    image: Tensor<4>,
    keep: usize,
    quantizing: Quantizing,
) -> Option<PixelLosses> {
    let quantizer = network.quantizer();
    let latents = network.latents(image.clone(), &mut Trace::none());
    let latents = if quantizing == Quantizing::Frozen { latents.detach() } else { latents };
    let (vectors, latents, losses, indices) = if quantizing == Quantizing::Free {
        let compared = quantizer.compared(latents);
        (compared.clone(), compared, None, None)
    } else {
        let quantized = quantizer.forward(latents);
        let losses = (quantizing == Quantizing::Trained).then(|| quantized.loss());
        let vectors = if losses.is_some() { quantized.vectors } else { quantized.vectors.detach() };
        (vectors, quantized.latents, losses, Some(quantized.indices))
    };
    let decoded = network.decode(keep_prefix(vectors, keep), &mut Trace::none())?;
    Some(PixelLosses {
        reconstruction: (decoded.clone() - image).square().mean(),
        quantizer: losses,
        indices,
        latents: latents.detach(),
        image: decoded,
    })
}

/// Tail token drop: the first `keep` positions of `[batch, positions, channels]`.
fn keep_prefix(vectors: Tensor<3>, keep: usize) -> Tensor<3> {
    let [batch, positions, _] = vectors.dims();
    vectors.slice([0..batch, 0..keep.clamp(1, positions)])
}
