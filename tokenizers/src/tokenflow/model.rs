//! The network, top to bottom.

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use tessera_layers::conv_autoencoder::{ConvDecoder, ConvEncoder, ConvNames};
use tessera_layers::resample::{Resampling, resize};
use tessera_layers::{Conv2d, ParamResult, Params, Trace};

use super::{
    MultiScale, ScaleStep, Scales, SemanticBranch, SemanticDecoder, SharedCodes, SharedQuantizer, Teacher,
    TokenFlowConfig,
};

/// Both branches, the shared codebooks and both decoders.
#[derive(Module, Debug)]
pub struct TokenFlowNetwork {
    semantic: SemanticBranch,
    encoder: ConvEncoder,
    quant_conv: Conv2d,
    quantize: SharedQuantizer,
    post_quant_conv: Conv2d,
    decoder: ConvDecoder,
    semantic_decoder: SemanticDecoder,
    sides: Vec<usize>,
    semantic_width: usize,
    /// Side of the pictures, where the pixel branch reads them at another size than they have.
    resized: Option<usize>,
}

impl TokenFlowNetwork {
    /// Takes every tensor of the released file; of a SigLIP what is never run only if `has_rest`. `config` must have passed
    /// [`TokenFlowConfig::check`].
    pub fn new(params: &Params, config: &TokenFlowConfig, has_rest: bool) -> ParamResult<Self> {
        let (z, width, names) = (config.z_channels, config.codebook_embed_dim, ConvNames::LLAMAGEN);
        let widths = [config.semantic_code_dim, width];
        Ok(Self {
            semantic: SemanticBranch::new(params, config, has_rest)?,
            encoder: ConvEncoder::new(&params.at("encoder"), &config.encoder_sizes(), [3, z], &names)?,
            quant_conv: Conv2d::uniform(&params.at("quant_conv"), [z, width], 1)?,
            quantize: SharedQuantizer::new(
                &params.at("quantize"),
                config.codebook_size,
                widths,
                config.commit_loss_beta,
            )?,
            post_quant_conv: Conv2d::uniform(&params.at("post_quant_conv"), [width, z], 1)?,
            decoder: ConvDecoder::new(&params.at("decoder"), &config.decoder_sizes(), [z, 3], &names)?,
            semantic_decoder: SemanticDecoder::new(params, config)?,
            sides: config.scales.clone(),
            semantic_width: config.semantic_code_dim,
            resized: (config.teacher == Teacher::Siglip).then_some(config.image_size),
        })
    }

    /// The scales.
    pub fn scales(&self) -> Scales {
        Scales::new(&self.sides)
    }

    /// The semantic branch.
    pub fn semantic_branch(&self) -> &SemanticBranch {
        &self.semantic
    }

    /// The codebooks.
    pub fn quantizer(&self) -> &SharedQuantizer {
        &self.quantize
    }

    /// The codebooks, to move codes in.
    pub fn quantizer_mut(&mut self) -> &mut SharedQuantizer {
        &mut self.quantize
    }

    /// Pictures `[batch, 3, side, side]` in -1..=1 to latents `[batch, semantic + pixel, g, g]`, semantic channels first.
    ///
    /// Reports `sem.*`, `pix.encoder.*` and `pix.quant_conv` to `trace`.
    pub fn latents(&self, images: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        let semantic = self.semantic.latents(images.clone(), &mut trace.at("sem")); // [b, semantic, g, g]
        let [_, _, grid, _] = semantic.dims();
        let side = grid * self.downsampling();
        let images = match self.resized {
            Some(_) => resize(images, [side, side], Resampling::CubicConvolution),
            None => images,
        };
        let pixel = self.quant_conv.forward(self.encoder.forward(images, &mut trace.at("pix.encoder"))); // [b, pixel, g, g]
        trace.see("pix.quant_conv", || pixel.clone());
        Tensor::cat(vec![semantic, pixel], 1)
    }

    /// Latents to codes of every scale; `seen` hears of each.
    pub fn quantize(&self, latents: Tensor<4>, seen: &mut dyn FnMut(&ScaleStep)) -> MultiScale {
        self.quantize.quantize(latents, &self.sides, seen)
    }

    /// The sum of the pairs of tokens `[batch, tokens]` of the first so many scales, `[batch, semantic + pixel, g, g]`; pairs
    /// are multiplied by `kept [batch, tokens, 1]` where it is there.
    ///
    /// # Panics
    /// If the tokens are no whole number of scales: a shape error, as in any tensor operation.
    pub fn sum(&self, ids: Tensor<2, Int>, kept: Option<Tensor<3>>) -> Tensor<4> {
        let ([batch, tokens], scales, codes) = (ids.dims(), self.scales(), self.quantize.codes());
        let ([_, semantic, pixel], grid) = (codes.sizes(), scales.grid());
        let mut sum = Tensor::zeros([batch, semantic + pixel, grid, grid], &codes.rows().device());
        let vectors = codes.vectors(ids);
        let vectors = match kept {
            Some(kept) => vectors * kept,
            None => vectors,
        };
        for (range, &side) in scales.ranges().into_iter().zip(&self.sides).take_while(|(range, _)| range.end <= tokens)
        {
            let map = SharedCodes::map(vectors.clone().narrow(1, range.start, range.len()), side);
            sum = sum + resize(map, [grid, grid], Resampling::CubicConvolution);
        }
        sum
    }

    /// Semantic features `[batch, g^2, outputs]` of a sum of pairs: CLIP's joint space, or SigLIP's last layer but one.
    pub fn semantic_features(&self, sum: Tensor<4>, trace: &mut Trace) -> Tensor<3> {
        self.semantic_decoder.forward(sum.narrow(1, 0, self.semantic_width), trace)
    }

    /// Pictures `[batch, 3, side, side]` of a sum of pairs, nominally in -1..=1 and not clamped.
    ///
    /// Reports `post_quant_conv`, what the decoder does and `raw_out` to `trace`.
    pub fn pixels(&self, sum: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        let [_, width, _, _] = sum.dims();
        let x = self.post_quant_conv.forward(sum.narrow(1, self.semantic_width, width - self.semantic_width));
        trace.see("post_quant_conv", || x.clone());
        let x = self.decoder.forward(x, trace);
        trace.see("raw_out", || x.clone());
        match self.resized {
            Some(side) => resize(x, [side, side], Resampling::CubicConvolution),
            None => x,
        }
    }

    fn downsampling(&self) -> usize {
        self.encoder.downsampling()
    }
}
