//! The network, top to bottom.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use tessera_layers::conv_autoencoder::{ConvDecoder, ConvNames, ResidualBlock};
use tessera_layers::resample::{Resampling, resize};
use tessera_layers::siglip::{SiglipText, SiglipVision};
use tessera_layers::{Conv2d, Init, ParamResult, Params, Trace};

use super::{AttentionProjection, DualTokenConfig};
use crate::quantizers::ResidualQuantizer;

/// SigLIP, two ways into codes and two out of them, and the decoder.
#[derive(Module, Debug)]
pub struct DualTokenNetwork {
    vision: SiglipVision,
    text: SiglipText,
    logit_scale: Param<Tensor<1>>,
    logit_bias: Param<Tensor<1>>,
    prequant_pix: AttentionProjection,
    prequant_sem: AttentionProjection,
    prequant_shortcut: Option<AttentionProjection>,
    quantizer_pix: ResidualQuantizer,
    quantizer_sem: ResidualQuantizer,
    postquant_pix: AttentionProjection,
    postquant_sem: AttentionProjection,
    post_quant_conv: ResidualBlock,
    decoder: ConvDecoder,
    layer_recon: usize,
    layer_sem: usize,
    layer_shortcut: Option<usize>,
    weight_shortcut: f64,
    latent_grid: [usize; 2],
}

/// What stands before both quantizers.
#[derive(Debug, Clone)]
pub struct DualLatents {
    /// `[batch, g, g, channels]`, the shortcut added.
    pub pixel: Tensor<4>,
    /// `[batch, g, g, channels]`.
    pub semantic: Tensor<4>,
}

/// What the rest of the SigLIP makes of semantic codes.
#[derive(Debug, Clone)]
pub struct SemanticFeatures {
    /// In place of the features that the codes were made of, `[batch, g^2, hidden]`.
    pub hidden: Tensor<3>,
    /// One vector of each picture, `[batch, hidden]`, not normalised.
    pub pooled: Tensor<2>,
}

impl DualTokenNetwork {
    /// Takes every tensor of the released state dict. `config` must have passed [`DualTokenConfig::check`].
    pub fn new(params: &Params, config: &DualTokenConfig) -> ParamResult<Self> {
        let (inner, hidden, siglip) = (&config.rqvaesiglip, config.hidden_size, params.at("siglip_model"));
        let (pixel, semantic, names) = (inner.vq_pix.embed_dim, inner.vq_sem.embed_dim, ConvNames::LATENT_DIFFUSION);
        let projection =
            |name: &str, inputs: usize, outputs: usize| AttentionProjection::new(&params.at(name), inputs, outputs);
        let (sizes, given) = (config.decoder_sizes(), inner.ddconfig.decoder_in_channels);
        let widths = [hidden, given];
        let shortcut = || projection("prequant_shortcut", hidden, pixel);
        let conv = params.at("post_quant_conv");
        Ok(Self {
            vision: SiglipVision::new(&siglip.at("vision_model"), &config.siglip_config.vision(), true)?,
            text: SiglipText::new(&siglip.at("text_model"), &config.siglip_config.text())?,
            logit_scale: siglip.tensor("logit_scale", [1], Init::Zeros)?,
            logit_bias: siglip.tensor("logit_bias", [1], Init::Zeros)?,
            prequant_pix: projection("prequant_pix", hidden, pixel)?,
            prequant_sem: projection("prequant_sem", hidden, semantic)?,
            prequant_shortcut: inner.layer_shortcut.map(|_| shortcut()).transpose()?,
            quantizer_pix: ResidualQuantizer::new(&params.at("quantizer_pix"), &inner.vq_pix.sizes())?,
            quantizer_sem: ResidualQuantizer::new(&params.at("quantizer_sem"), &inner.vq_sem.sizes())?,
            postquant_pix: projection("postquant_pix", pixel, hidden)?,
            postquant_sem: projection("postquant_sem", semantic, hidden)?,
            post_quant_conv: ResidualBlock::with_kernel(&conv, widths, sizes.groups, names.shortcut, 1)?,
            decoder: ConvDecoder::new(&params.at("decoder"), &sizes, [given, 3], &names)?,
            layer_recon: inner.layer_recon,
            layer_sem: inner.layer_sem,
            layer_shortcut: inner.layer_shortcut,
            weight_shortcut: inner.weight_shortcut,
            latent_grid: config.latent_grid(),
        })
    }

    /// Makes the repeats of shared codebooks their first ones. For a network whose tensors were read.
    pub fn share_codebooks(&mut self) {
        self.quantizer_pix.share();
        self.quantizer_sem.share();
    }

    /// Starts the moving averages of codebooks that nothing was learnt for.
    pub fn start_averages(&mut self) {
        self.quantizer_pix.start_averages();
        self.quantizer_sem.start_averages();
    }

    /// The quantizer of pixel codes.
    pub fn pixel_quantizer(&self) -> &ResidualQuantizer {
        &self.quantizer_pix
    }

    /// The quantizer of semantic codes.
    pub fn semantic_quantizer(&self) -> &ResidualQuantizer {
        &self.quantizer_sem
    }

    /// Both quantizers, pixel codes first, to move their codes.
    pub fn quantizers_mut(&mut self) -> [&mut ResidualQuantizer; 2] {
        [&mut self.quantizer_pix, &mut self.quantizer_sem]
    }

    /// Pictures `[batch, 3, side, side]` in -1..=1 to what both quantizers are given.
    ///
    /// Reports `vit.embeddings`, `vit.layer<i>` (from 0), `prequant_*` and `prequant_*.attn` to `trace`.
    pub fn latents(&self, images: Tensor<4>, trace: &mut Trace) -> DualLatents {
        let mut x = self.vision.embed(images); // [b, g g, hidden]
        trace.see("vit.embeddings", || x.clone());
        let (mut pixel, mut shortcut) = (None, None);
        for (index, layer) in self.vision.layers().iter().enumerate().take(self.layer_sem) {
            x = layer.forward(x);
            trace.see(format_args!("vit.layer{index}"), || x.clone());
            if index + 1 == self.layer_recon {
                pixel = Some(project("prequant_pix", &self.prequant_pix, &x, trace));
            }
            if let Some(prequant) = self.prequant_shortcut.as_ref().filter(|_| self.layer_shortcut == Some(index + 1)) {
                shortcut = Some(project("prequant_shortcut", prequant, &x, trace));
            }
        }
        let semantic = project("prequant_sem", &self.prequant_sem, &x, trace);
        // `check` has seen to it that the layer of the pixels is one of these.
        let pixel = pixel.unwrap_or_else(|| project("prequant_pix", &self.prequant_pix, &x, trace));
        let pixel = match shortcut {
            Some(shortcut) => pixel + shortcut.mul_scalar(self.weight_shortcut),
            None => pixel,
        };
        DualLatents { pixel: square(pixel), semantic: square(semantic) }
    }

    /// The rest of the SigLIP on quantized semantic latents `[batch, g, g, channels]`.
    ///
    /// Reports `postquant_sem`, `vit.layer<i>` and `vit.post_layernorm` to `trace`.
    pub fn semantic_features(&self, vectors: Tensor<4>, trace: &mut Trace) -> SemanticFeatures {
        let hidden = project("postquant_sem", &self.postquant_sem, &sequence(vectors), trace);
        let mut x = hidden.clone();
        for (index, layer) in self.vision.layers().iter().enumerate().skip(self.layer_sem) {
            x = layer.forward(x);
            trace.see(format_args!("vit.layer{index}"), || x.clone());
        }
        let x = self.vision.normalise(x);
        trace.see("vit.post_layernorm", || x.clone());
        SemanticFeatures { hidden, pooled: self.vision.pool(x) }
    }

    /// Quantized pixel latents `[batch, g, g, channels]` to pictures, nominally in -1..=1 and not clamped.
    ///
    /// Reports `postquant_pix`, `post_quant_conv` and `decoder.*` to `trace`.
    pub fn pixels(&self, vectors: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        self.last_layer().forward(self.pixel_features(vectors, trace))
    }

    /// [`DualTokenNetwork::pixels`] up to what the decoder's last layer is given, `[batch, width, side, side]`.
    pub fn pixel_features(&self, vectors: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        let [batch, rows, columns, _] = vectors.dims();
        let x = project("postquant_pix", &self.postquant_pix, &sequence(vectors), trace); // [b, g g, hidden]
        let [_, _, hidden] = x.dims();
        let x = x.swap_dims(1, 2).reshape([batch, hidden, rows, columns]);
        let x = self.post_quant_conv.forward(resize(x, self.latent_grid, Resampling::Bilinear)); // [b, given, h, w]
        trace.see("post_quant_conv", || x.clone());
        self.decoder.features(x, &mut trace.at("decoder"))
    }

    /// The decoder's last layer.
    pub fn last_layer(&self) -> &Conv2d {
        self.decoder.last_layer()
    }

    /// What the SigLIP makes of pictures `[batch, 3, side, side]` in -1..=1 without any codes: of a model that nothing was learnt
    /// for yet, the teacher's features.
    pub fn plain_features(&self, images: Tensor<4>) -> SemanticFeatures {
        let mut x = self.vision.embed(images);
        let layers = self.vision.layers();
        let mut hidden = x.clone();
        for (index, layer) in layers.iter().enumerate() {
            x = layer.forward(x);
            if index + 2 == layers.len() {
                hidden = x.clone();
            }
        }
        SemanticFeatures { hidden, pooled: self.vision.pool(self.vision.normalise(x)) }
    }

    /// Texts `[batch, length]`, padded as the release does it, to `[batch, hidden]`, not normalised.
    pub fn text_features(&self, ids: Tensor<2, Int>) -> Tensor<2> {
        self.text.forward(ids)
    }

    /// Ids that there are, and the longest text.
    pub fn text_limits(&self) -> [usize; 2] {
        self.text.limits()
    }

    /// How well each picture fits each text, `[pictures, texts]`: the logit of a sigmoid. Takes features of any length.
    pub fn match_logits(&self, pictures: Tensor<2>, texts: Tensor<2>) -> Tensor<2> {
        let products = unit(pictures).matmul(unit(texts).transpose());
        products * self.logit_scale.val().exp().reshape([1, 1]) + self.logit_bias.val().reshape([1, 1])
    }
}

/// Rows of unit length.
pub(super) fn unit(x: Tensor<2>) -> Tensor<2> {
    let length = x.clone().square().sum_dim(1).sqrt();
    x / length
}

fn project(name: &str, projection: &AttentionProjection, x: &Tensor<3>, trace: &mut Trace) -> Tensor<3> {
    let y = projection.forward(x.clone(), &mut trace.at(name));
    trace.see(name, || y.clone());
    y
}

/// `[batch, g^2, channels]` as `[batch, g, g, channels]`.
fn square(x: Tensor<3>) -> Tensor<4> {
    let [batch, cells, channels] = x.dims();
    let side = cells.isqrt();
    x.reshape([batch, side, side, channels])
}

/// `[batch, g, g, channels]` as `[batch, g^2, channels]`.
fn sequence(x: Tensor<4>) -> Tensor<3> {
    let [batch, rows, columns, channels] = x.dims();
    x.reshape([batch, rows * columns, channels])
}
