//! The whole network, top to bottom.

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use tessera_layers::{ParamResult, Params, Trace};

use super::{MaskGitVqganConfig, VqganDecoder, VqganEncoder};
use crate::LoadError;
use crate::grid::GridNetwork;
use crate::quantizers::VectorQuantizer;

/// Encoder, codebook (plain squared distance) and decoder under `encoder`, `quantize.embedding`, `decoder`.
#[derive(Module, Debug)]
pub struct VqganNetwork {
    encoder: VqganEncoder,
    quantize: VectorQuantizer,
    decoder: VqganDecoder,
}

impl VqganNetwork {
    /// Takes every tensor of the released file.
    ///
    /// # Errors
    /// [`LoadError`] if the configuration does not fit together, or an error of the source of the parameters.
    pub fn new(params: &Params, config: &MaskGitVqganConfig) -> Result<Self, LoadError> {
        config.check()?;
        Ok(Self::build(params, config)?)
    }

    fn build(params: &Params, config: &MaskGitVqganConfig) -> ParamResult<Self> {
        let sizes = [config.num_embeddings, config.vqgan.z_channels];
        Ok(Self {
            encoder: VqganEncoder::new(&params.at("encoder"), &config.vqgan)?,
            quantize: VectorQuantizer::new(&params.at("quantize.embedding"), sizes, false, 0.25)?,
            decoder: VqganDecoder::new(&params.at("decoder"), &config.vqgan)?,
        })
    }

    /// Picture `[batch, 3, H, W]` in 0..=1 to latents `[batch, z, h, w]`.
    pub fn latents(&self, image: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        self.encoder.forward(image, trace)
    }

    /// Latents `[batch, z, h, w]` to codes `[batch, h * w]`, row by row.
    pub fn codes(&self, latents: Tensor<4>) -> Tensor<2, Int> {
        let [batch, z, height, width] = latents.dims();
        let rows = latents.permute([0, 2, 3, 1]).reshape([batch, height * width, z]);
        self.quantize.indices(rows)
    }
}

impl GridNetwork for VqganNetwork {
    fn encode(&self, images: Tensor<4>) -> Tensor<2, Int> {
        self.codes(self.latents(images, &mut Trace::none()))
    }

    fn code_vectors(&self, codes: Tensor<2, Int>, [height, width]: [usize; 2]) -> Tensor<4> {
        let rows = self.quantize.vectors(codes);
        let [batch, _, z] = rows.dims();
        rows.swap_dims(1, 2).reshape([batch, z, height, width])
    }

    fn decode(&self, vectors: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        self.decoder.forward(vectors, trace)
    }
}
