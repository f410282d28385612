//! The whole network, top to bottom.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, activation};
use tessera_layers::{Init, ParamResult, Params, Trace};

use super::decoder::{Decoded, as_grid};
use super::{OneDPieceConfig, TitokDecoder, TitokEncoder};
use crate::maskgit_vqgan::VqganDecoder;
use crate::quantizers::VectorQuantizer;

/// Encoder, codebook, decoder and, for two-stage models past their first stage, the pixel decoder.
#[derive(Module, Debug)]
pub struct OneDPieceNetwork {
    latent_tokens: Param<Tensor<2>>,
    encoder: TitokEncoder,
    quantize: VectorQuantizer,
    decoder: TitokDecoder,
    pixels: Option<PixelStage>,
    grid: usize,
}

/// Soft proxy codes and the convolutional decoder that reads them.
#[derive(Module, Debug)]
struct PixelStage {
    quantize: VectorQuantizer,
    decoder: VqganDecoder,
}

impl OneDPieceNetwork {
    /// Takes every tensor of a released checkpoint.
    ///
    /// # Errors
    /// [`crate::LoadError`] if the configuration does not fit together, or an error of the source of the parameters.
    pub fn new(params: &Params, config: &OneDPieceConfig) -> Result<Self, crate::LoadError> {
        config.check()?;
        Ok(Self::build(params, config, config.encoder()?, config.decoder()?)?)
    }

    fn build(
        params: &Params,
        config: &OneDPieceConfig,
        encoder: super::Tower,
        decoder: super::Tower,
    ) -> ParamResult<Self> {
        let (latents, token_size) = (config.num_latent_tokens, config.token_size);
        let width = encoder.width;
        let grid = |patch: usize| config.crop_size / patch;
        let init = Init::Normal((width as f32).powf(-0.5));
        let codes = [config.codebook_size, token_size];
        let quantizer = params.at("quantize.embedding");
        let proxy = config.proxy_codebook();
        let pixels = || -> ParamResult<PixelStage> {
            let codebook = params.at("pixel_quantize.embedding");
            let decoder = params.at("pixel_decoder");
            Ok(PixelStage {
                quantize: VectorQuantizer::new(&codebook, proxy, false, 0.25)?,
                decoder: VqganDecoder::new(&decoder, &config.pixel_decoder())?,
            })
        };
        Ok(Self {
            latent_tokens: params.tensor("latent_tokens", [latents, width], init)?,
            encoder: TitokEncoder::new(
                &params.at("encoder"),
                encoder,
                grid(encoder.patch),
                latents,
                token_size,
                config.is_legacy,
                config.latent_mix,
            )?,
            quantize: VectorQuantizer::new(&quantizer, codes, config.use_l2_norm, config.commitment_cost)?,
            decoder: TitokDecoder::new(
                &params.at("decoder"),
                decoder,
                grid(decoder.patch),
                latents,
                token_size,
                config.is_legacy.then_some(proxy[0]),
                config.latent_mix,
            )?,
            pixels: config.has_pixel_decoder().then(pixels).transpose()?,
            grid: grid(decoder.patch),
        })
    }

    /// Picture `[batch, 3, crop, crop]` in 0..=1 to latents `[batch, latents, token_size]` before the codebook.
    pub fn latents(&self, image: Tensor<4>, trace: &mut Trace) -> Tensor<3> {
        self.encoder.forward(image, self.latent_tokens.val(), &mut trace.at("encoder"))
    }

    /// The codebook.
    pub fn quantizer(&self) -> &VectorQuantizer {
        &self.quantize
    }

    /// The codebook, to change it in training.
    pub fn quantizer_mut(&mut self) -> &mut VectorQuantizer {
        &mut self.quantize
    }

    /// Picture to token ids, `[batch, 3, crop, crop] -> [batch, latents]`.
    pub fn encode(&self, image: Tensor<4>) -> Tensor<2, Int> {
        self.quantize.indices(self.latents(image, &mut Trace::none()))
    }

    /// Code vectors `[batch, k, token_size]` through the transformer decoder.
    pub fn decode_vectors(&self, vectors: Tensor<3>, trace: &mut Trace) -> Decoded {
        self.decoder.forward(vectors, &mut trace.at("decoder"))
    }

    /// Logits over the proxy codes `[batch, grid * grid, codes]` to pixels `[batch, 3, crop, crop]`, not clamped;
    /// `None` for a checkpoint of the first training stage, which has no pixel decoder.
    pub fn logits_to_image(&self, logits: Tensor<3>, trace: &mut Trace) -> Option<Tensor<4>> {
        let pixels = self.pixels.as_ref()?;
        // No argmax: the expected code vector, which is what the second stage was trained on.
        let soft = pixels.quantize.soft_vectors(activation::softmax(logits, 2));
        let soft = as_grid(soft, self.grid);
        trace.see("soft_code", || soft.clone());
        Some(pixels.decoder.forward(soft, &mut trace.at("pixel_decoder")))
    }

    /// Code vectors to a picture, `[batch, k, token_size] -> [batch, 3, crop, crop]`, not clamped; `None` for a
    /// checkpoint of the first training stage.
    pub fn decode(&self, vectors: Tensor<3>, trace: &mut Trace) -> Option<Tensor<4>> {
        match self.decode_vectors(vectors, trace) {
            Decoded::Image(image) => Some(image),
            Decoded::Logits(logits) => self.logits_to_image(logits, trace),
        }
    }

    /// Cells of the decoder's grid along a side.
    pub fn grid(&self) -> usize {
        self.grid
    }
}
