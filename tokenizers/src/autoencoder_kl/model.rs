//! The network.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_layers::conv_autoencoder::{ConvDecoder, ConvEncoder, ConvNames};
use tessera_layers::{Conv2d, ParamResult, Params, Trace};

use super::AutoencoderKlConfig;

/// Encoder and decoder under `encoder`, `quant_conv`, `post_quant_conv`, `decoder`.
#[derive(Module, Debug)]
pub struct AutoencoderKl {
    encoder: ConvEncoder,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
    decoder: ConvDecoder,
}

impl AutoencoderKl {
    /// Takes every tensor of the released file. `config` must have passed [`AutoencoderKlConfig::check`].
    pub fn new(params: &Params, config: &AutoencoderKlConfig) -> ParamResult<Self> {
        let (names, channels) = (ConvNames::DIFFUSERS, config.latent_channels);
        let pointwise = |name: &str, channels: usize| Conv2d::uniform(&params.at(name), [channels, channels], 1);
        let encoder = params.at("encoder");
        let decoder = params.at("decoder");
        Ok(Self {
            encoder: ConvEncoder::new(&encoder, &config.encoder_sizes(), [config.in_channels, 2 * channels], &names)?,
            quant_conv: config.use_quant_conv.then(|| pointwise("quant_conv", 2 * channels)).transpose()?,
            post_quant_conv: config.use_post_quant_conv.then(|| pointwise("post_quant_conv", channels)).transpose()?,
            decoder: ConvDecoder::new(&decoder, &config.decoder_sizes(), [channels, config.out_channels], &names)?,
        })
    }

    /// Picture `[batch, 3, H, W]` in -1..=1 to means and logarithms of variances, one behind the other:
    /// `[batch, 2c, H / f, W / f]`, as [`Posterior::new`](super::Posterior::new) takes them.
    ///
    /// Reports `encoder.conv_in`, `encoder.down_block<i>`, `encoder.mid_attn`, `encoder.mid_block` and `encoder.out` (before
    /// `quant_conv`) to `trace`.
    pub fn moments(&self, image: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        let moments = self.encoder.forward(image, &mut trace.at("encoder")); // [b, 2c, H / f, W / f]
        match &self.quant_conv {
            Some(convolution) => convolution.forward(moments),
            None => moments,
        }
    }

    /// Latents `[batch, c, h, w]`, without a scaling factor, to a picture `[batch, 3, h f, w f]`, nominally in -1..=1 and not
    /// clamped.
    ///
    /// Reports `decoder.conv_in`, `decoder.mid_attn`, `decoder.mid_block` and `decoder.up_block<i>` to `trace`.
    pub fn decode(&self, latents: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        let latents = match &self.post_quant_conv {
            Some(convolution) => convolution.forward(latents),
            None => latents,
        };
        self.decoder.forward(latents, &mut trace.at("decoder"))
    }
}
