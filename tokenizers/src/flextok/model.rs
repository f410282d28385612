//! The whole network, top to bottom.

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use tessera_layers::{Params, Trace};

use super::{FlexDecoder, FlexEncoder, FlexTokConfig};
use crate::LoadError;
use crate::autoencoder_kl::{AutoencoderKl, Posterior};
use crate::quantizers::FiniteScalarQuantizer;

/// Autoencoder, encoder, quantizer and flow decoder.
#[derive(Module, Debug)]
pub struct FlexTokNetwork {
    vae: AutoencoderKl,
    encoder: FlexEncoder,
    decoder: FlexDecoder,
    #[module(skip)]
    quantizer: FiniteScalarQuantizer,
    scale: f64,
}

impl FlexTokNetwork {
    /// Takes every tensor of a released checkpoint: `vae.vae`, `encoder.module_dict`, `decoder.module_dict`.
    ///
    /// # Errors
    /// [`LoadError`] if the configuration does not fit together, or an error of the source of the parameters.
    pub fn new(params: &Params, config: &FlexTokConfig) -> Result<Self, LoadError> {
        Ok(Self {
            vae: AutoencoderKl::new(&params.at("vae.vae"), &config.vae.architecture)?,
            encoder: FlexEncoder::new(&params.at("encoder.module_dict"), config)?,
            decoder: FlexDecoder::new(&params.at("decoder.module_dict"), config)?,
            quantizer: FiniteScalarQuantizer::new(&config.levels),
            scale: config.vae.scale()?,
        })
    }

    /// What the autoencoder says of a picture `[batch, 3, height, width]` in -1..=1: mean and variance of its latents
    /// `[batch, channels, h, w]`, not scaled.
    pub fn posterior(&self, image: Tensor<4>, trace: &mut Trace) -> Posterior {
        Posterior::new(self.vae.moments(image, trace))
    }

    /// Latents of the autoencoder as encoder and decoder see them.
    pub fn scaled(&self, latents: Tensor<4>) -> Tensor<4> {
        latents.mul_scalar(self.scale)
    }

    /// Scaled latents `[batch, channels, h, w]` to registers `[batch, registers, dims]`, not quantized.
    pub fn registers(&self, latents: Tensor<4>, trace: &mut Trace) -> Tensor<3> {
        self.encoder.forward(latents, trace)
    }

    /// Scaled latents to token ids `[batch, registers]`.
    pub fn tokens(&self, latents: Tensor<4>) -> Tensor<2, Int> {
        self.quantizer.quantize(self.registers(latents, &mut Trace::none())).1
    }

    /// Scaled latents `[batch, channels, h, w]` to a picture `[batch, 3, height, width]` around -1..=1, not clamped.
    pub fn picture(&self, latents: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        self.vae.decode(latents.div_scalar(self.scale), trace)
    }

    /// The quantizer.
    pub fn quantizer(&self) -> &FiniteScalarQuantizer {
        &self.quantizer
    }

    /// The flow decoder.
    pub fn decoder(&self) -> &FlexDecoder {
        &self.decoder
    }
}
