//! The network, top to bottom.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use tessera_layers::{Init, Linear, ParamResult, Params, RmsNorm, Rotary, Trace};
use tessera_shaders::{AttentionMask, gelu, linear};
use tessera_tokenizers::tokenflow::{Scales, SharedCodes, VisualFeatures};

use super::block::{Block, Held, View};
use super::{T2iPrompt, TokenFlowT2iConfig};
use crate::cache::KeyValueCache;
use crate::decoder::Padding;

/// Embeddings, blocks, and one matrix over all ids.
#[derive(Module, Debug)]
pub struct TokenFlowT2iNetwork {
    embed_tokens: Param<Tensor<2>>,
    projector_in: Linear,
    projector_out: Linear,
    lvl_embed: Param<Tensor<2>>,
    pos_1lc: Param<Tensor<2>>,
    layers: Vec<Block>,
    norm: RmsNorm,
    lm_head: Param<Tensor<2>>,
    first_code: usize,
    codes: usize,
    kv_width: usize,
    half: usize,
    base: f64,
}

/// Positions of a pass that see alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// How many there are.
    pub count: usize,
    /// Which of the positions up to their end they see: [`AttentionMask::Causal`] in the prompt, [`AttentionMask::Full`] in a
    /// scale.
    pub mask: AttentionMask,
}

/// The segments of a prompt of `length` positions and the scales behind it; the last position of the prompt is scale 0.
pub fn segments(length: usize, scales: &Scales) -> Vec<Segment> {
    let prompt = Segment { count: length, mask: AttentionMask::Causal };
    let scale = |side: &usize| Segment { count: side * side, mask: AttentionMask::Full };
    std::iter::once(prompt).chain(scales.sides().iter().skip(1).map(scale)).collect()
}

/// Earlier positions of the sequences of a pass.
pub enum Past<'a> {
    /// There are none.
    Nothing,
    /// Those that the caches hold, one for each block; the pass's are added.
    Kept(&'a mut [KeyValueCache]),
    /// The first so many of those that the caches hold; the pass's are forgotten again.
    Beside(&'a [KeyValueCache], usize),
}

impl TokenFlowT2iNetwork {
    /// Takes every tensor of a checkpoint. `config` must have passed [`TokenFlowT2iConfig::check`].
    pub fn new(params: &Params, config: &TokenFlowT2iConfig) -> ParamResult<Self> {
        let (model, width, vocab) = (params.at("model"), config.llm.hidden_size, config.llm.vocab_size);
        let (layers, projector, init) = (model.at("layers"), model.at("mm_projector"), Init::Normal(0.02));
        let scales = config.tokenizer.scales();
        Ok(Self {
            embed_tokens: model.at("embed_tokens").tensor("weight", [vocab, width], init)?,
            projector_in: Linear::new(&projector.at("0"), config.tokenizer.code_dim(), width, true)?,
            projector_out: Linear::new(&projector.at("2"), width, width, true)?,
            lvl_embed: model.at("lvl_embed").tensor("weight", [scales.sides().len() + 1, width], init)?,
            pos_1lc: model.tensor("pos_1LC", [scales.tokens(), width], init)?,
            layers: (0..config.llm.num_hidden_layers)
                .map(|layer| Block::new(&layers.at(layer), config))
                .collect::<ParamResult<_>>()?,
            norm: RmsNorm::new(&model.at("norm"), width, config.llm.rms_norm_eps)?,
            lm_head: params.at("lm_head").matrix_transposed("weight", [vocab, width], init)?,
            first_code: config.image_token_start(),
            codes: config.tokenizer.codebook_size,
            kv_width: config.kv_heads() * config.head_dim(),
            half: config.head_dim() / 2,
            base: config.llm.rope_theta,
        })
    }

    /// The device that the network is on.
    pub fn device(&self) -> Device {
        self.embed_tokens.device()
    }

    /// Caches for `rows` sequences of up to `most` positions, one for each block.
    pub fn caches(&self, rows: usize, most: usize) -> Vec<KeyValueCache> {
        let device = self.device();
        self.layers.iter().map(|_| KeyValueCache::new(rows, most, self.kv_width, &device)).collect()
    }

    /// Angles of `positions` positions.
    pub fn rotary(&self, positions: usize) -> Rotary {
        Rotary::line(positions, self.half, self.base)
    }

    /// Ids `[rows, length]` of prompts as the blocks read them, `[rows, length, width]`: the last position carries the position
    /// of the picture's first token.
    pub fn embed_prompt(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let ([rows, length], [_, width]) = (ids.dims(), self.embed_tokens.dims());
        let x = self.embed_tokens.val().select(0, ids.reshape([rows * length])).reshape([rows, length, width]);
        let x = x + self.lvl_embed.val().narrow(0, 0, 1).unsqueeze::<3>();
        let first = self.pos_1lc.val().narrow(0, 0, 1);
        let positions = match length {
            1 => first,
            _ => Tensor::cat(vec![first.zeros_like().expand([length - 1, width]), first], 0),
        };
        x + positions.unsqueeze::<3>()
    }

    /// Features `[rows, side^2, channels]` of scale `scale`, whose tokens stand at `range` of the picture's, as the blocks read
    /// them, `[rows, side^2, width]`.
    pub fn embed_features(&self, features: Tensor<3>, scale: usize, range: Range<usize>) -> Tensor<3> {
        let x = self.projector_out.forward(gelu(self.projector_in.forward(features)));
        let level = self.lvl_embed.val().narrow(0, scale + 1, 1);
        x + level.unsqueeze::<3>() + self.pos_1lc.val().narrow(0, range.start, range.len()).unsqueeze::<3>()
    }

    /// States `[rows, count, width]`, normalised, of positions `x [rows, count, width]`.
    pub fn forward(
        &self,
        x: Tensor<3>,
        rotary: &Rotary,
        segments: &[Segment],
        padding: Option<&Padding>,
        past: Past<'_>,
    ) -> Tensor<3> {
        let [_, count, _] = x.dims();
        let from = match &past {
            Past::Nothing => 0,
            Past::Kept(caches) => caches.first().map_or(0, KeyValueCache::len),
            Past::Beside(_, length) => *length,
        };
        let turns = rotary.at(from..from + count, &x.device());
        let view = View { turns: &turns, from, segments, padding };
        let mut past = past;
        let mut x = x;
        for (index, layer) in self.layers.iter().enumerate() {
            let held = match &mut past {
                Past::Nothing => Held::Nothing,
                Past::Kept(caches) => caches.get_mut(index).map_or(Held::Nothing, Held::Kept),
                Past::Beside(caches, _) => caches.get(index).map_or(Held::Nothing, Held::Beside),
            };
            x = layer.forward(x, view, held);
        }
        self.norm.forward(x)
    }

    /// Logits of all ids `[rows, count, vocabulary]`.
    pub fn logits(&self, states: Tensor<3>) -> Tensor<3> {
        linear(states, self.lm_head.val(), None)
    }

    /// Logits of the codes `[rows, count, codes]`.
    pub fn code_logits(&self, states: Tensor<3>) -> Tensor<3> {
        linear(states, self.lm_head.val().narrow(1, self.first_code, self.codes), None)
    }

    /// A teacher-forced pass over whole pictures `ids [rows, tokens]` behind prompts: states `[rows, length + tokens - 1,
    /// width]`. The state at place `length - 1 + j` predicts token `j`. Reports `inputs_embeds` to `trace`.
    pub fn teach(
        &self,
        prompt: &T2iPrompt,
        codes: &SharedCodes,
        scales: &Scales,
        ids: Tensor<2, Int>,
        trace: &mut Trace,
    ) -> Tensor<3> {
        let device = self.device();
        let features = VisualFeatures::of_sequence(codes, scales, ids, None);
        let mut parts = vec![self.embed_prompt(prompt.upload(&device))];
        for (scale, range) in scales.ranges().into_iter().enumerate().skip(1) {
            let features = features.clone().narrow(1, range.start - 1, range.len());
            parts.push(self.embed_features(features, scale, range));
        }
        let x = Tensor::cat(parts, 1);
        trace.see("inputs_embeds", || x.clone());
        let [_, count, _] = x.dims();
        let (segments, padding) = (segments(prompt.length(), scales), prompt.padding(&device));
        self.forward(x, &self.rotary(count), &segments, padding.as_ref(), Past::Nothing)
    }
}
