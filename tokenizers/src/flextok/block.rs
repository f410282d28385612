//! The transformer block of both FlexTok trunks.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_layers::{Init, Linear, ParamResult, Params, Trace};
use tessera_shaders::{AttentionMask, gated_add, masked_attention, modulated_norm, norm, swiglu, weighted_attention};

use super::config::TrunkConfig;

/// Epsilon of the trunks' normalisations, which have no parameters.
pub(super) const EPSILON: f32 = 1e-5;
/// Attention scores are multiplied by this over the head's channels: muP's rule with a base of 64 channels.
const SCALE: f32 = 8.0;

/// `x += attention(norm(x))`, `x += mlp(norm(x))`: norms without parameters, queries and keys normalised head by head,
/// SwiGLU, no biases. With a time embedding, norms are shifted and scaled and branches gated (adaLN), each kind of token by
/// its own numbers.
///
/// Names: `attn.{wq,wk,wv,proj}`, `mlp.{fc1,fc2,fc3}`, `adaLN_modulation.1`. Source: FlexTok (arXiv 2502.13967), released
/// checkpoints.
#[derive(Module, Debug)]
pub struct FlexBlock {
    wq: Linear,
    wk: Linear,
    wv: Linear,
    proj: Linear,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
    modulation: Option<Linear>,
    heads: usize,
}

/// Kinds of tokens that have numbers of their own: patches and registers.
const KINDS: usize = 2;

/// A block's modulation for a batch.
pub(super) struct Conditioning {
    /// What [`FlexBlock::modulation`] made of the time, `[batch, kinds * 6 * dim]`.
    pub numbers: Tensor<2>,
    /// Patches, which stand before the registers.
    pub patches: usize,
}

impl FlexBlock {
    /// A block of the trunk; `modulated` for the decoder's.
    pub fn new(params: &Params, trunk: &TrunkConfig, modulated: bool) -> ParamResult<Self> {
        let (dim, hidden) = (trunk.dim, hidden(trunk.dim));
        let (attention, mlp) = (params.at("attn"), params.at("mlp"));
        let linear = |params: &Params, name: &str, inputs: usize, outputs: usize| {
            xavier(&params.at(name), inputs, outputs, false)
        };
        let modulation = || zero_linear(&params.at("adaLN_modulation.1"), dim, KINDS * 6 * dim);
        Ok(Self {
            wq: linear(&attention, "wq", dim, dim)?,
            wk: linear(&attention, "wk", dim, dim)?,
            wv: linear(&attention, "wv", dim, dim)?,
            proj: linear(&attention, "proj", dim, dim)?,
            fc1: linear(&mlp, "fc1", dim, hidden)?,
            fc2: linear(&mlp, "fc2", hidden, dim)?,
            fc3: linear(&mlp, "fc3", dim, hidden)?,
            modulation: modulated.then(modulation).transpose()?,
            heads: trunk.dim / trunk.head_dim,
        })
    }

    /// The modulation `[batch, kinds * 6 * dim]` for `silu` of time embeddings `[batch, dim]`; `None` for a block without.
    pub(super) fn modulation(&self, time: Tensor<2>) -> Option<Tensor<2>> {
        self.modulation.as_ref().map(|modulation| modulation.forward(time))
    }

    /// `[batch, length, dim] -> [batch, length, dim]`; `log_weights [batch, length]` say how often each position counts as a
    /// key. Reports `norm1`, `q_normed`, `adaLN`, `attn_out` and `mlp_out` to
    /// `trace`.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        mask: AttentionMask,
        log_weights: Option<&Tensor<2>>,
        conditioning: Option<Conditioning>,
        trace: &mut Trace,
    ) -> Tensor<3> {
        let Some(Conditioning { numbers, patches: first }) = conditioning else {
            let attended = self.attention(norm(x.clone(), EPSILON), mask, log_weights, trace);
            let x = x + attended;
            let hidden = self.mlp(norm(x.clone(), EPSILON), trace);
            return x + hidden;
        };
        trace.see("adaLN", || numbers.clone());
        let [batch, _] = numbers.dims();
        let [_, _, dim] = x.dims();
        let numbers = numbers.reshape([batch, KINDS, 6, dim]);
        // [batch, kinds, dim]
        let part = |part: usize| numbers.clone().slice([0..batch, 0..KINDS, part..part + 1]).squeeze_dim::<3>(2);
        let [gate_attention, gate_mlp] = [part(0), part(1)];
        let [shift_attention, scale_attention, shift_mlp, scale_mlp] = [part(2), part(3), part(4), part(5)];

        let attended = self.attention(
            modulated_norm(x.clone(), shift_attention, scale_attention, first, EPSILON),
            mask,
            log_weights,
            trace,
        );
        let x = gated_add(x, attended, gate_attention, first);
        let hidden = self.mlp(modulated_norm(x.clone(), shift_mlp, scale_mlp, first, EPSILON), trace);
        gated_add(x, hidden, gate_mlp, first)
    }

    fn attention(
        &self,
        x: Tensor<3>,
        mask: AttentionMask,
        log_weights: Option<&Tensor<2>>,
        trace: &mut Trace,
    ) -> Tensor<3> {
        trace.see("norm1", || x.clone());
        let [batch, length, dim] = x.dims();
        let (heads, head_dim) = (self.heads, dim / self.heads);
        let by_head =
            |x: Tensor<3>| norm(x.reshape([batch, length, heads, head_dim]), EPSILON).reshape([batch, length, dim]);
        let q = by_head(self.wq.forward(x.clone()));
        let k = by_head(self.wk.forward(x.clone()));
        let v = self.wv.forward(x);
        trace.see("q_normed", || q.clone().reshape([batch, length, heads, head_dim]).swap_dims(1, 2));
        let scale = SCALE / head_dim as f32;
        let y = self.proj.forward(match log_weights {
            Some(weights) => weighted_attention(q, k, v, weights.clone(), heads, scale, mask),
            None => masked_attention(q, k, v, heads, scale, mask),
        });
        trace.see("attn_out", || y.clone());
        y
    }

    fn mlp(&self, x: Tensor<3>, trace: &mut Trace) -> Tensor<3> {
        let y = self.fc2.forward(swiglu(self.fc1.forward(x.clone()), self.fc3.forward(x)));
        trace.see("mlp_out", || y.clone());
        y
    }
}

/// Hidden units of the SwiGLU: two thirds of four times the width, rounded down.
fn hidden(dim: usize) -> usize {
    2 * (4 * dim) / 3
}

/// A fully connected layer that starts from Xavier's uniform distribution.
pub(super) fn xavier(params: &Params, inputs: usize, outputs: usize, bias: bool) -> ParamResult<Linear> {
    Linear::with_names(params, ["weight", "bias"], inputs, outputs, bias, Init::xavier_uniform(inputs, outputs))
}

/// A fully connected layer that starts at zero.
pub(super) fn zero_linear(params: &Params, inputs: usize, outputs: usize) -> ParamResult<Linear> {
    Linear::with_names(params, ["weight", "bias"], inputs, outputs, true, Init::Zeros)
}
