//! One block.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_layers::{Linear, ParamResult, Params, RmsNorm, Turns};
use tessera_shaders::{masked_attention, swiglu, weighted_attention};

use super::{Segment, TokenFlowT2iConfig};
use crate::cache::KeyValueCache;
use crate::decoder::{Padding, repeat_heads};

/// Epsilon of the normalisations of queries and keys.
const QK_EPSILON: f64 = 1e-6;

/// `x += norm(attention(x))`, `x += norm(swiglu(x))`: the norms act on what the branches give. Queries and keys are normalised
/// head by head before they are turned.
#[derive(Module, Debug)]
pub(super) struct Block {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    query_norm: RmsNorm,
    key_norm: RmsNorm,
    input_layernorm: RmsNorm,
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
    post_attention_layernorm: RmsNorm,
    heads: usize,
    kv_heads: usize,
}

/// What the positions of a pass see.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// Rotary angles of the positions.
    pub turns: &'a Turns,
    /// Positions of their sequences that stand before them.
    pub from: usize,
    /// How the positions fall into segments.
    pub segments: &'a [Segment],
    /// Prompt positions that hold nothing.
    pub padding: Option<&'a Padding>,
}

/// Where the keys and values of earlier positions come from.
pub(super) enum Held<'a> {
    /// There are none.
    Nothing,
    /// From here, where new ones are added.
    Kept(&'a mut KeyValueCache),
    /// From here; new ones are forgotten again.
    Beside(&'a KeyValueCache),
}

impl Block {
    pub(super) fn new(params: &Params, config: &TokenFlowT2iConfig) -> ParamResult<Self> {
        let (width, dim, epsilon) = (config.llm.hidden_size, config.head_dim(), config.llm.rms_norm_eps);
        let (heads, kv_heads, hidden) =
            (config.llm.num_attention_heads, config.kv_heads(), config.llm.intermediate_size);
        let (attention, mlp) = (params.at("self_attn"), params.at("mlp"));
        let linear =
            |params: &Params, name: &str, from: usize, to: usize| Linear::new(&params.at(name), from, to, false);
        let norms = attention.at("qknorm");
        Ok(Self {
            q_proj: linear(&attention, "q_proj", width, heads * dim)?,
            k_proj: linear(&attention, "k_proj", width, kv_heads * dim)?,
            v_proj: linear(&attention, "v_proj", width, kv_heads * dim)?,
            o_proj: linear(&attention, "o_proj", heads * dim, width)?,
            query_norm: RmsNorm::new(&norms.at("query_norm"), dim, QK_EPSILON)?,
            key_norm: RmsNorm::new(&norms.at("key_norm"), dim, QK_EPSILON)?,
            input_layernorm: RmsNorm::new(&params.at("input_layernorm"), width, epsilon)?,
            gate_proj: linear(&mlp, "gate_proj", width, hidden)?,
            up_proj: linear(&mlp, "up_proj", width, hidden)?,
            down_proj: linear(&mlp, "down_proj", hidden, width)?,
            post_attention_layernorm: RmsNorm::new(&params.at("post_attention_layernorm"), width, epsilon)?,
            heads,
            kv_heads,
        })
    }

    /// `[rows, count, width] -> [rows, count, width]`
    pub(super) fn forward(&self, x: Tensor<3>, view: View<'_>, held: Held<'_>) -> Tensor<3> {
        let x = x.clone() + self.input_layernorm.forward(self.attend(x, view, held));
        let y = swiglu(self.gate_proj.forward(x.clone()), self.up_proj.forward(x.clone()));
        x + self.post_attention_layernorm.forward(self.down_proj.forward(y))
    }

    fn attend(&self, x: Tensor<3>, view: View<'_>, held: Held<'_>) -> Tensor<3> {
        let q = turned(&self.query_norm, self.q_proj.forward(x.clone()), self.heads, view.turns);
        let k = turned(&self.key_norm, self.k_proj.forward(x.clone()), self.kv_heads, view.turns);
        let v = self.v_proj.forward(x);
        let (k, v) = match held {
            Held::Nothing => (k, v),
            Held::Kept(cache) => cache.append(k, v),
            Held::Beside(cache) => cache.beside(view.from, k, v),
        };
        let [k, v] = [k, v].map(|x| repeat_heads(x, self.heads, self.kv_heads));
        let [_, _, width] = q.dims();
        let scale = 1.0 / (width as f32 / self.heads as f32).sqrt();
        let mut start = 0;
        let parts = view.segments.iter().map(|segment| {
            let q = q.clone().narrow(1, start, segment.count);
            start += segment.count;
            let keys = view.from + start;
            let [k, v] = [&k, &v].map(|x| x.clone().narrow(1, 0, keys));
            match view.padding {
                Some(padding) => {
                    weighted_attention(q, k, v, padding.log_weights(keys), self.heads, scale, segment.mask)
                }
                None => masked_attention(q, k, v, self.heads, scale, segment.mask),
            }
        });
        self.o_proj.forward(Tensor::cat(parts.collect(), 1))
    }
}

/// Queries or keys `[rows, count, heads * dim]` normalised head by head and turned.
///
/// The release turns channel `i` of a head with channel `i + dim / 2`. Here neighbours turn together, so channels are brought
/// side by side first, those of queries as those of keys: no score changes.
fn turned(norm: &RmsNorm, x: Tensor<3>, heads: usize, turns: &Turns) -> Tensor<3> {
    let [rows, count, width] = x.dims();
    let dim = width / heads;
    let x = norm.forward(x.reshape([rows, count * heads, dim]));
    let pairs = x.reshape([rows, count * heads, 2, dim / 2]).swap_dims(2, 3);
    turns.turn(pairs.reshape([rows, count, width]))
}
