//! The whole network, top to bottom.

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use tessera_layers::{Params, Trace};

use super::{FlexDecoder, FlexEncoder, FlexTokConfig, LatentConfig};
use crate::LoadError;
use crate::autoencoder_kl::{AutoencoderKl, Posterior};
use crate::patch_dct::PatchDctConfig;
use crate::quantizers::FiniteScalarQuantizer;

/// Autoencoder, encoder, quantizer and flow decoder.
#[derive(Module, Debug)]
pub struct FlexTokNetwork {
    latents: LatentNetwork,
    encoder: FlexEncoder,
    decoder: FlexDecoder,
    #[module(skip)]
    quantizer: FiniteScalarQuantizer,
    scale: f64,
}

/// What stands between pixels and latents.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "one for a network")]
enum LatentNetwork {
    AutoencoderKl(AutoencoderKl),
    PatchDct(FixedTransform),
}

#[derive(Module, Debug)]
struct FixedTransform {
    #[module(skip)]
    config: PatchDctConfig,
}

impl FlexTokNetwork {
    /// Takes every tensor of a released checkpoint: `vae.vae`, `encoder.module_dict`, `decoder.module_dict`.
    ///
    /// # Errors
    /// [`LoadError`] if the configuration does not fit together, or an error of the source of the parameters.
    pub fn new(params: &Params, config: &FlexTokConfig) -> Result<Self, LoadError> {
        let latents = match &config.vae.architecture {
            LatentConfig::AutoencoderKl(sizes) => {
                LatentNetwork::AutoencoderKl(AutoencoderKl::new(&params.at("vae.vae"), sizes)?)
            }
            LatentConfig::PatchDct(config) => LatentNetwork::PatchDct(FixedTransform { config: config.clone() }),
        };
        Ok(Self {
            latents,
            encoder: FlexEncoder::new(&params.at("encoder.module_dict"), config)?,
            decoder: FlexDecoder::new(&params.at("decoder.module_dict"), config)?,
            quantizer: FiniteScalarQuantizer::new(&config.levels),
            scale: config.vae.scale()?,
        })
    }

    /// What the autoencoder says of a picture `[batch, 3, height, width]` in -1..=1: mean and variance of its latents
    /// `[batch, channels, h, w]`, not scaled.
    pub fn posterior(&self, image: Tensor<4>, trace: &mut Trace) -> Posterior {
        match &self.latents {
            LatentNetwork::AutoencoderKl(vae) => Posterior::new(vae.moments(image, trace)),
            LatentNetwork::PatchDct(transform) => Posterior::certain(transform.config.encode(image)),
        }
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
        let latents = latents.div_scalar(self.scale);
        match &self.latents {
            LatentNetwork::AutoencoderKl(vae) => vae.decode(latents, trace),
            LatentNetwork::PatchDct(transform) => transform.config.decode(latents),
        }
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
