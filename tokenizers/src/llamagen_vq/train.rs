//! Losses of the quantizer.

use burn::tensor::{Int, Tensor};

use super::LlamaGenVqNetwork;
use crate::quantizers::{Quantized, assignment_entropy, squared_distances};

/// What pictures come to.
#[derive(Debug, Clone)]
pub struct VqLosses {
    /// Mean squared error of the pixels in -1..=1.
    pub reconstruction: Tensor<1>,
    /// Codebook and commitment (its weight included); `None` where nothing was quantized.
    pub quantizer: Option<Tensor<1>>,
    /// Mean entropy of soft assignments less that of their mean, before its weight.
    pub entropy: Option<Tensor<1>>,
    /// Codes `[batch, h * w]`; `None` where nothing was quantized.
    pub indices: Option<Tensor<2, Int>>,
    /// Latents as the codebook compares them, `[batch, h * w, width]`, without a gradient.
    pub latents: Tensor<3>,
    /// Reconstructed pictures in 0..=1, not clamped.
    pub image: Tensor<4>,
}

/// Losses of pictures `[batch, 3, H, W]` in 0..=1. With `is_free`, latents go on unquantized, as a start of training that lets the
/// autoencoder find its latents first. The entropy term is computed only if `with_entropy`, since it holds an affinity for each code.
pub fn vq_losses(network: &LlamaGenVqNetwork, images: Tensor<4>, is_free: bool, with_entropy: bool) -> VqLosses {
    let images = images.mul_scalar(2.0).sub_scalar(1.0);
    let latents = network.latents(images.clone(), &mut tessera_layers::Trace::none());
    let [_, _, height, width] = latents.dims();
    let sequence = LlamaGenVqNetwork::sequence(latents);
    let (vectors, quantized) = match is_free {
        true => (network.quantizer().compared(sequence.clone()), None),
        false => {
            let quantized = network.quantizer().forward(sequence.clone());
            (quantized.vectors.clone(), Some(quantized))
        }
    };
    let entropy = with_entropy.then(|| entropy_loss(network, sequence.clone()));
    let pixels = network.pixels(LlamaGenVqNetwork::map(vectors, [height, width]), &mut tessera_layers::Trace::none());
    VqLosses {
        reconstruction: (pixels.clone() - images).square().mean(),
        quantizer: quantized.as_ref().map(Quantized::loss),
        entropy,
        latents: network.quantizer().compared(sequence).detach(),
        indices: quantized.map(|quantized| quantized.indices),
        image: pixels.add_scalar(1.0).mul_scalar(0.5),
    }
}

/// [`assignment_entropy`] of latents `[batch, positions, width]`, compared with the codes as the quantizer does.
pub fn entropy_loss(network: &LlamaGenVqNetwork, latents: Tensor<3>) -> Tensor<1> {
    let [batch, positions, width] = latents.dims();
    let rows = network.quantizer().compared(latents).reshape([batch * positions, width]);
    let [codes, _] = network.quantizer().codebook().dims();
    let codebook = network.quantizer().compared(network.quantizer().codebook().reshape([1, codes, width]));
    assignment_entropy(squared_distances(rows, codebook.reshape([codes, width])))
}
