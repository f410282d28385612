//! The network, top to bottom.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use tessera_layers::{Init, Linear, ParamResult, Params, RmsNorm, Rotary, Trace};
use tessera_shaders::{AttentionMask, gelu};

use super::TokenShuffleConfig;
use crate::cache::KeyValueCache;
use crate::decoder::{BlockSizes, DecoderBlock, Padding, Sight};

/// One table of text and image ids, a Llama trunk on merged windows, and one output matrix.
#[derive(Module, Debug)]
pub struct TokenShuffleNetwork {
    embedding: Param<Tensor<2>>,
    compress: Linear,
    merged: Vec<MlpBlock>,
    layers: Vec<DecoderBlock>,
    split: Vec<MlpBlock>,
    expand: Linear,
    norm: RmsNorm,
    output: Linear,
    /// Tokens of a window.
    size: usize,
    kv_width: usize,
    half: usize,
    base: f64,
}

/// `x + fc2(gelu(fc1(norm(x))))`
#[derive(Module, Debug)]
struct MlpBlock {
    norm: RmsNorm,
    fc1: Linear,
    fc2: Linear,
}

impl MlpBlock {
    fn new(params: &Params, width: usize, hidden: usize, epsilon: f64) -> ParamResult<Self> {
        Ok(Self {
            norm: RmsNorm::new(&params.at("norm"), width, epsilon)?,
            fc1: Linear::new(&params.at("fc1"), width, hidden, true)?,
            fc2: Linear::new(&params.at("fc2"), hidden, width, true)?,
        })
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        x.clone() + self.fc2.forward(gelu(self.fc1.forward(self.norm.forward(x))))
    }
}

impl TokenShuffleNetwork {
    /// Takes every tensor of a checkpoint. `config` must have passed [`TokenShuffleConfig::check`].
    pub fn new(params: &Params, config: &TokenShuffleConfig) -> ParamResult<Self> {
        let (width, epsilon) = (config.dim, config.norm_eps);
        // `check` has seen to it that there are windows.
        let size = config.windows().map_or(1, |windows| windows.size());
        let all = config.text_vocab + config.image_vocab;
        let sizes = BlockSizes {
            width,
            heads: config.n_heads,
            kv_heads: config.n_kv_heads,
            hidden: config.ffn_hidden,
            epsilon,
        };
        let (shuffle, layers, unshuffle) = (params.at("shuffle"), params.at("layers"), params.at("unshuffle"));
        let blocks = |params: &Params| -> ParamResult<Vec<MlpBlock>> {
            let params = params.at("blocks");
            let hidden = config.mlp_ratio * width;
            (0..config.n_mlp_blocks).map(|block| MlpBlock::new(&params.at(block), width, hidden, epsilon)).collect()
        };
        Ok(Self {
            embedding: params.at("tok_embeddings").tensor("weight", [all, width], Init::Normal(0.02))?,
            compress: Linear::new(&shuffle.at("compress"), width, width / size, true)?,
            merged: blocks(&shuffle)?,
            layers: (0..config.n_layers)
                .map(|block| DecoderBlock::new(&layers.at(block), sizes))
                .collect::<ParamResult<_>>()?,
            split: blocks(&unshuffle)?,
            expand: Linear::new(&unshuffle.at("expand"), width / size, width, true)?,
            norm: RmsNorm::new(&params.at("norm"), width, epsilon)?,
            output: Linear::new(&params.at("output"), width, all, false)?,
            size,
            kv_width: config.n_kv_heads * (width / config.n_heads),
            half: width / config.n_heads / 2,
            base: config.rope_theta,
        })
    }

    /// The device that the network is on.
    pub fn device(&self) -> Device {
        self.embedding.device()
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

    /// Text ids `[rows, count]` as the trunk reads them, `[rows, count, width]`.
    pub fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let ([rows, count], [_, width]) = (ids.dims(), self.embedding.dims());
        self.embedding.val().select(0, ids.reshape([rows * count])).reshape([rows, count, width])
    }

    /// Image ids of the whole vocabulary `[rows, windows * size]`, window after window, as one position each,
    /// `[rows, windows, width]`.
    ///
    /// Reports `embeddings`, `compressed`, `merged` and `fused` to `trace`.
    pub fn shuffle(&self, ids: Tensor<2, Int>, trace: &mut Trace) -> Tensor<3> {
        let ([rows, tokens], [_, width]) = (ids.dims(), self.embedding.dims());
        let windows = tokens / self.size;
        let x = self.embed(ids).reshape([rows, windows, self.size, width]);
        trace.see("embeddings", || x.clone());
        let x = self.compress.forward(x);
        trace.see("compressed", || x.clone());
        let mut x = x.reshape([rows, windows, width]);
        trace.see("merged", || x.clone());
        for block in &self.merged {
            x = block.forward(x);
        }
        trace.see("fused", || x.clone());
        x
    }

    /// States of positions `x [rows, count, width]`, the first of them at place `from`. With caches, one for each block, they
    /// follow those that the caches hold, and are added to them.
    ///
    /// Reports `layer<i>` to `trace`.
    pub fn forward(
        &self,
        x: Tensor<3>,
        (from, rotary): (usize, &Rotary),
        padding: Option<&Padding>,
        caches: Option<&mut [KeyValueCache]>,
        trace: &mut Trace,
    ) -> Tensor<3> {
        let [_, count, _] = x.dims();
        let turns = rotary.at(from..from + count, &x.device());
        let sight = Sight { turns: &turns, mask: AttentionMask::Causal, padding };
        let mut caches = caches.map(<[KeyValueCache]>::iter_mut);
        let mut x = x;
        for (index, layer) in self.layers.iter().enumerate() {
            let cache = caches.as_mut().and_then(Iterator::next);
            x = layer.forward(x, sight, cache, &mut trace.at(&format!("layer{index}")));
            trace.see(format_args!("layer{index}"), || x.clone());
        }
        x
    }

    /// Logits `[rows, count * size, all ids]` of the windows behind the positions of `states [rows, count, width]`.
    ///
    /// Reports `blocks_out`, `split` and `expanded` to `trace`.
    pub fn unshuffle(&self, states: Tensor<3>, trace: &mut Trace) -> Tensor<3> {
        let [rows, count, width] = states.dims();
        let mut x = states;
        for block in &self.split {
            x = block.forward(x);
        }
        trace.see("blocks_out", || x.clone());
        let x = x.reshape([rows, count, self.size, width / self.size]);
        trace.see("split", || x.clone());
        let x = self.expand.forward(x);
        trace.see("expanded", || x.clone());
        self.text(x.reshape([rows, count * self.size, width]))
    }

    /// Logits `[rows, count, all ids]` of the ids behind text positions.
    pub fn text(&self, states: Tensor<3>) -> Tensor<3> {
        self.output.forward(self.norm.forward(states))
    }
}
