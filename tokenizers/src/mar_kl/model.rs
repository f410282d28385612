//! The network.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_layers::conv_autoencoder::{ConvDecoder, ConvEncoder, ConvNames};
use tessera_layers::{Conv2d, ParamResult, Params, Trace};

use super::MarKlConfig;

/// Encoder and decoder under `encoder`, `quant_conv`, `post_quant_conv`, `decoder`.
#[derive(Module, Debug)]
pub struct MarKl {
    encoder: ConvEncoder,
    quant_conv: Conv2d,
    post_quant_conv: Conv2d,
    decoder: ConvDecoder,
}

impl MarKl {
    /// Takes every tensor of the released file. `config` must have passed [`MarKlConfig::check`].
    pub fn new(params: &Params, config: &MarKlConfig) -> ParamResult<Self> {
        let (z, names) = (config.embed_dim, ConvNames::LATENT_DIFFUSION);
        let pointwise = |name: &str, channels: usize| Conv2d::uniform(&params.at(name), [channels, channels], 1);
        Ok(Self {
            encoder: ConvEncoder::new(&params.at("encoder"), &config.encoder_sizes(), [3, 2 * z], &names)?,
            quant_conv: pointwise("quant_conv", 2 * z)?,
            post_quant_conv: pointwise("post_quant_conv", z)?,
            decoder: ConvDecoder::new(&params.at("decoder"), &config.decoder_sizes(), [z, 3], &names)?,
        })
    }

    /// Pictures `[batch, 3, H, W]` in -1..=1 to means and logarithms of variances `[batch, 2c, H / f, W / f]`, as
    /// [`Posterior::new`](crate::autoencoder_kl::Posterior::new) takes them.
    ///
    /// Reports `encoder` (before `quant_conv`) and what stands below it to `trace`.
    pub fn moments(&self, images: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        let x = self.encoder.forward(images, &mut trace.at("encoder"));
        trace.see("encoder", || x.clone());
        self.quant_conv.forward(x)
    }

    /// Latents `[batch, c, h, w]`, without a scaling factor, to pictures, nominally in -1..=1 and not clamped.
    pub fn decode(&self, latents: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        self.decoder.forward(self.post_quant_conv.forward(latents), &mut trace.at("decoder"))
    }
}
