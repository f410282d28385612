//! One block of a Llama-style decoder.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_layers::{Linear, ParamResult, Params, RmsNorm, Trace, Turns};
use tessera_shaders::{AttentionMask, masked_attention, swiglu, weighted_attention};

use super::Padding;
use crate::cache::KeyValueCache;

/// Sizes of a [`DecoderBlock`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockSizes {
    /// Channels.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Heads of keys and values, a divisor of `heads`.
    pub kv_heads: usize,
    /// Hidden width of the SwiGLU.
    pub hidden: usize,
    /// Epsilon of the normalisations.
    pub epsilon: f64,
}

/// `x += attention(norm(x))`, `x += swiglu(norm(x))`: RMS norms, rotary positions, no biases. LlamaGen's names.
#[derive(Module, Debug)]
pub struct DecoderBlock {
    attention_norm: RmsNorm,
    wqkv: Linear,
    wo: Linear,
    ffn_norm: RmsNorm,
    w1: Linear,
    w2: Linear,
    w3: Linear,
    heads: usize,
    kv_heads: usize,
}

/// What the positions of a pass see.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// Rotary angles of the positions.
    pub turns: &'a Turns,
    /// Which keys they see.
    pub mask: AttentionMask,
    /// Condition positions that hold nothing.
    pub padding: Option<&'a Padding>,
}

impl DecoderBlock {
    /// Takes `attention.*`, `feed_forward.*` and two norms.
    pub fn new(params: &Params, sizes: BlockSizes) -> ParamResult<Self> {
        let BlockSizes { width, heads, kv_heads, hidden, epsilon } = sizes;
        let (attention, mlp) = (params.at("attention"), params.at("feed_forward"));
        let packed = (heads + 2 * kv_heads) * (width / heads);
        Ok(Self {
            attention_norm: RmsNorm::new(&params.at("attention_norm"), width, epsilon)?,
            wqkv: Linear::new(&attention.at("wqkv"), width, packed, false)?,
            wo: Linear::new(&attention.at("wo"), width, width, false)?,
            ffn_norm: RmsNorm::new(&params.at("ffn_norm"), width, epsilon)?,
            w1: Linear::new(&mlp.at("w1"), width, hidden, false)?,
            w2: Linear::new(&mlp.at("w2"), hidden, width, false)?,
            w3: Linear::new(&mlp.at("w3"), width, hidden, false)?,
            heads,
            kv_heads,
        })
    }

    /// `[rows, count, width] -> [rows, count, width]`. With a cache the positions follow those that it holds, and are added.
    ///
    /// Reports `attention` and `feed_forward` to `trace`.
    pub fn forward(
        &self,
        x: Tensor<3>,
        sight: Sight<'_>,
        cache: Option<&mut KeyValueCache>,
        trace: &mut Trace,
    ) -> Tensor<3> {
        let attended = self.attend(self.attention_norm.forward(x.clone()), sight, cache);
        trace.see("attention", || attended.clone());
        let x = x + attended;
        let normal = self.ffn_norm.forward(x.clone());
        let y = self.w2.forward(swiglu(self.w1.forward(normal.clone()), self.w3.forward(normal)));
        trace.see("feed_forward", || y.clone());
        x + y
    }

    fn attend(&self, normal: Tensor<3>, sight: Sight<'_>, cache: Option<&mut KeyValueCache>) -> Tensor<3> {
        let packed = self.wqkv.forward(normal);
        let [_, count, all] = packed.dims();
        let dim = all / (self.heads + 2 * self.kv_heads);
        let (width, kv_width) = (self.heads * dim, self.kv_heads * dim);
        let q = sight.turns.turn(packed.clone().narrow(2, 0, width));
        let k = sight.turns.turn(packed.clone().narrow(2, width, kv_width));
        let own = packed.narrow(2, width + kv_width, kv_width);
        let (k, v) = match cache {
            Some(cache) => cache.append(k, own.clone()),
            None => (k, own.clone()),
        };
        let shared = |x| repeat_heads(x, self.heads, self.kv_heads);
        let (k, v) = (shared(k), shared(v));
        let scale = 1.0 / (dim as f32).sqrt();
        let Some(padding) = sight.padding else {
            return self.wo.forward(masked_attention(q, k, v, self.heads, scale, sight.mask));
        };
        let [_, keys, _] = k.dims();
        let y = weighted_attention(q, k, v, padding.log_weights(keys), self.heads, scale, sight.mask);
        self.wo.forward(padding.see_themselves(y, shared(own), keys - count))
    }
}

/// Keys or values `[rows, count, kv width]` of `kv_heads` heads once for each of the `heads` heads of queries that share them.
pub fn repeat_heads(x: Tensor<3>, heads: usize, kv_heads: usize) -> Tensor<3> {
    let [rows, count, width] = x.dims();
    if heads == kv_heads {
        return x;
    }
    let (dim, times) = (width / kv_heads, heads / kv_heads);
    let x = x.reshape([rows, count, kv_heads, 1, dim]);
    x.expand([rows, count, kv_heads, times, dim]).reshape([rows, count, heads * dim])
}
