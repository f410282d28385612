//! The network.

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use tessera_layers::conv_autoencoder::{ConvDecoder, ConvEncoder, ConvNames};
use tessera_layers::{Conv2d, ParamResult, Params, Trace};

use super::LlamaGenVqConfig;
use crate::grid::GridNetwork;
use crate::quantizers::VectorQuantizer;

/// Encoder, codebook and decoder under `encoder`, `quant_conv`, `quantize.embedding`, `post_quant_conv`, `decoder`.
#[derive(Module, Debug)]
pub struct LlamaGenVqNetwork {
    encoder: ConvEncoder,
    quant_conv: Conv2d,
    quantize: VectorQuantizer,
    post_quant_conv: Conv2d,
    decoder: ConvDecoder,
}

impl LlamaGenVqNetwork {
    /// Takes every tensor of the released file. `config` must have passed [`LlamaGenVqConfig::check`].
    pub fn new(params: &Params, config: &LlamaGenVqConfig) -> ParamResult<Self> {
        let (z, width, names) = (config.z_channels, config.codebook_embed_dim, ConvNames::LLAMAGEN);
        let sizes = [config.codebook_size, width];
        let (l2, beta) = (config.codebook_l2_norm, config.commit_loss_beta);
        Ok(Self {
            encoder: ConvEncoder::new(&params.at("encoder"), &config.encoder_sizes(), [3, z], &names)?,
            quant_conv: Conv2d::uniform(&params.at("quant_conv"), [z, width], 1)?,
            quantize: VectorQuantizer::new(&params.at("quantize.embedding"), sizes, l2, beta)?,
            post_quant_conv: Conv2d::uniform(&params.at("post_quant_conv"), [width, z], 1)?,
            decoder: ConvDecoder::new(&params.at("decoder"), &config.decoder_sizes(), [z, 3], &names)?,
        })
    }

    /// Pictures `[batch, 3, H, W]` in -1..=1 to latents `[batch, width, h, w]`, before they are quantized.
    ///
    /// Reports `encoder` and what stands below it to `trace`.
    pub fn latents(&self, images: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        let x = self.encoder.forward(images, &mut trace.at("encoder"));
        trace.see("encoder", || x.clone());
        self.quant_conv.forward(x)
    }

    /// Latents or code vectors `[batch, width, h, w]` as a sequence `[batch, h * w, width]`, row by row.
    pub fn sequence(latents: Tensor<4>) -> Tensor<3> {
        let [batch, width, height, columns] = latents.dims();
        latents.permute([0, 2, 3, 1]).reshape([batch, height * columns, width])
    }

    /// A sequence `[batch, h * w, width]` as a map `[batch, width, h, w]`.
    pub fn map(sequence: Tensor<3>, [height, columns]: [usize; 2]) -> Tensor<4> {
        let [batch, _, width] = sequence.dims();
        sequence.swap_dims(1, 2).reshape([batch, width, height, columns])
    }

    /// Code vectors `[batch, width, h, w]` to pictures, nominally in -1..=1 and not clamped.
    ///
    /// Reports `post_quant_conv`, `decoder` and what stands below it to `trace`.
    pub fn pixels(&self, vectors: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        let x = self.post_quant_conv.forward(vectors);
        trace.see("post_quant_conv", || x.clone());
        self.decoder.forward(x, &mut trace.at("decoder"))
    }

    /// The codebook.
    pub fn quantizer(&self) -> &VectorQuantizer {
        &self.quantize
    }

    /// The codebook, to move its codes.
    pub fn quantizer_mut(&mut self) -> &mut VectorQuantizer {
        &mut self.quantize
    }
}

impl GridNetwork for LlamaGenVqNetwork {
    fn encode(&self, images: Tensor<4>) -> Tensor<2, Int> {
        let images = images.mul_scalar(2.0).sub_scalar(1.0);
        self.quantize.indices(Self::sequence(self.latents(images, &mut Trace::none())))
    }

    fn code_vectors(&self, codes: Tensor<2, Int>, grid: [usize; 2]) -> Tensor<4> {
        Self::map(self.quantize.vectors(codes), grid)
    }

    fn decode(&self, vectors: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        self.pixels(vectors, trace).add_scalar(1.0).mul_scalar(0.5)
    }
}
