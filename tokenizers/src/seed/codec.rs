//! Causal embeddings to tokens, tokens to features, and the whole network.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use tessera_layers::{Init, ParamResult, Params, Trace};

use super::block::{Block, BlockSizes};
use super::config::{SeedConfig, SeedKind};
use super::encoder::SeedEncoder;
use super::head::FeatureHead;
use super::sizes::scaled;
use super::task_layer::TaskLayer;
use crate::quantizers::VectorQuantizer;

/// Learned positions and pre-norm blocks in which all positions see one another.
#[derive(Module, Debug)]
pub struct DecoderStack {
    positions: Param<Tensor<3>>,
    blocks: Vec<Block>,
}

impl DecoderStack {
    /// Under `pos_embed{suffix}` and `blocks{suffix}`.
    fn new(params: &Params, config: &SeedConfig, suffix: &str) -> ParamResult<Self> {
        let width = config.width();
        let sizes = BlockSizes {
            width,
            heads: config.decode_num_heads,
            mlp: scaled(width, config.decode_mlp_ratio),
            epsilon: config.decode_norm_eps,
        };
        let blocks = params.at(format!("blocks{suffix}"));
        let shape = [1, config.encoder.num_query_token, width];
        Ok(Self {
            positions: params.tensor(&format!("pos_embed{suffix}"), shape, Init::Zeros)?,
            blocks: (0..config.decode_depth)
                .map(|index| Block::plain(&blocks.at(index), sizes))
                .collect::<ParamResult<_>>()?,
        })
    }

    /// `[batch, tokens, width] -> [batch, tokens, width]`. Reports `{name}.{i}` to `trace`.
    pub fn forward(&self, x: Tensor<3>, name: &str, trace: &mut Trace) -> Tensor<3> {
        let mut x = x + self.positions.val();
        for (index, block) in self.blocks.iter().enumerate() {
            x = block.forward(x);
            trace.see(format!("{name}.{index}"), || x.clone());
        }
        x
    }
}

/// What the second stage trains: task layers and codebook under `encode_task_layer`, `quantize.embedding` and
/// `decode_task_layer`, the decoders, and the head.
#[derive(Module, Debug)]
pub struct SeedCodec {
    encode_task_layer: TaskLayer,
    quantize: VectorQuantizer,
    decode_task_layer: TaskLayer,
    /// Rebuilds causal embeddings; trained, and not used after that. SEED-1's files have none.
    recon: Option<DecoderStack>,
    decoder: DecoderStack,
    head: FeatureHead,
    beta: f64,
    is_text: bool,
}

impl SeedCodec {
    /// Takes every tensor. `config` must have passed [`SeedConfig::check`].
    pub fn new(params: &Params, config: &SeedConfig) -> ParamResult<Self> {
        let (width, code) = (config.width(), config.codebook_embed_dim);
        let is_text = config.model_type == SeedKind::Seed1;
        let suffix = if is_text { "_text" } else { "_image" };
        Ok(Self {
            encode_task_layer: TaskLayer::new(&params.at("encode_task_layer"), width, code)?,
            // The release has the commitment unweighted, and `beta` on the codebook's term.
            quantize: VectorQuantizer::new(&params.at("quantize.embedding"), [config.n_embed, code], false, 1.0)?,
            decode_task_layer: TaskLayer::new(&params.at("decode_task_layer"), code, width)?,
            recon: (!is_text).then(|| DecoderStack::new(params, config, "")).transpose()?,
            decoder: DecoderStack::new(params, config, suffix)?,
            head: FeatureHead::new(params, config)?,
            beta: config.vq_beta,
            is_text,
        })
    }

    /// Causal embeddings `[batch, tokens, width]` to what is compared with the codebook, `[batch, tokens, code width]`.
    pub fn latents(&self, embeddings: Tensor<3>) -> Tensor<3> {
        self.encode_task_layer.forward(embeddings)
    }

    /// The codebook.
    pub fn quantizer(&self) -> &VectorQuantizer {
        &self.quantize
    }

    /// The codebook, to move its codes.
    pub fn quantizer_mut(&mut self) -> &mut VectorQuantizer {
        &mut self.quantize
    }

    /// Weight of the codebook's term of the quantizer's loss.
    pub fn beta(&self) -> f64 {
        self.beta
    }

    /// Code vectors `[batch, tokens, code width]` to vectors `[batch, tokens, width]`. Reports `dequantized` to `trace`.
    pub fn dequantize(&self, codes: Tensor<3>, trace: &mut Trace) -> Tensor<3> {
        let vectors = self.decode_task_layer.forward(codes);
        trace.see("dequantized", || vectors.clone());
        vectors
    }

    /// Rebuilt causal embeddings `[batch, tokens, width]`, the target of training; `None` where the file has no decoder for them.
    /// Reports `recon.blocks.{i}` to `trace`.
    pub fn rebuild(&self, dequantized: Tensor<3>, trace: &mut Trace) -> Option<Tensor<3>> {
        self.recon.as_ref().map(|stack| stack.forward(dequantized, "recon.blocks", trace))
    }

    /// Dequantized vectors `[batch, tokens, width]` through the blocks before the head, `[batch, tokens, width]`.
    ///
    /// Reports `blocks_image.{i}` or `blocks_text.{i}` to `trace`.
    pub fn decoded(&self, dequantized: Tensor<3>, trace: &mut Trace) -> Tensor<3> {
        let name = if self.is_text { "blocks_text" } else { "blocks_image" };
        self.decoder.forward(dequantized, name, trace)
    }

    /// Dequantized vectors `[batch, tokens, width]` to features `[batch, rows, channels]`: one row of SEED-2, 77 of SEED-1.
    ///
    /// Reports what [`SeedCodec::decoded`] and [`FeatureHead::forward`] do to `trace`.
    pub fn features(&self, dequantized: Tensor<3>, trace: &mut Trace) -> Tensor<3> {
        self.head.forward(self.decoded(dequantized, trace), trace)
    }

    /// The head.
    pub fn head(&self) -> &FeatureHead {
        &self.head
    }
}

/// A whole SEED tokenizer.
#[derive(Module, Debug)]
pub struct SeedNetwork {
    encoder: SeedEncoder,
    codec: SeedCodec,
}

impl SeedNetwork {
    /// Takes every tensor; `positions` as of [`EvaVit::new`](super::EvaVit::new).
    pub fn new(params: &Params, config: &SeedConfig, positions: usize) -> ParamResult<Self> {
        Ok(Self {
            encoder: SeedEncoder::new(params, &config.encoder, positions, false)?,
            codec: SeedCodec::new(params, config)?,
        })
    }

    pub(crate) fn fit_positions(&mut self) {
        self.encoder.fit_positions();
    }

    /// Pictures to causal embeddings.
    pub fn encoder(&self) -> &SeedEncoder {
        &self.encoder
    }

    /// Causal embeddings to tokens and features.
    pub fn codec(&self) -> &SeedCodec {
        &self.codec
    }

    /// Causal embeddings to tokens and features, to move codes.
    pub fn codec_mut(&mut self) -> &mut SeedCodec {
        &mut self.codec
    }

    /// Normalised pictures `[batch, channels, side, side]` to codes `[batch, tokens]`.
    pub fn encode(&self, images: Tensor<4>) -> Tensor<2, Int> {
        let embeddings = self.encoder.forward(images, &mut Trace::none());
        self.codec.quantizer().indices(self.codec.latents(embeddings))
    }

    /// Codes `[batch, tokens]` to features `[batch, rows, channels]`.
    pub fn decode(&self, codes: Tensor<2, Int>) -> Tensor<3> {
        let vectors = self.codec.quantizer().vectors(codes);
        let dequantized = self.codec.dequantize(vectors, &mut Trace::none());
        self.codec.features(dequantized, &mut Trace::none())
    }
}
