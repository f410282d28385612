//! The pre-norm block of SEED's vision transformer and decoders.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use tessera_layers::attention::packed_self_attention;
use tessera_layers::{Init, LayerNorm, Linear, ParamResult, Params};
use tessera_shaders::{gelu, linear};

/// Sizes of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockSizes {
    /// Channels.
    pub width: usize,
    /// Attention heads, which divide the width.
    pub heads: usize,
    /// Hidden units of the MLP.
    pub mlp: usize,
    /// LayerNorm epsilon.
    pub epsilon: f64,
}

/// `x += proj(attention(norm1(x)))`, then `x += fc2(gelu(fc1(norm2(x))))`; every position sees every other, exact GELU.
///
/// Names: `norm1`, `attn.qkv`, `attn.proj`, `norm2`, `mlp.fc1`, `mlp.fc2`; EVA's block has `attn.q_bias` and `attn.v_bias` in place of
/// a bias of `attn.qkv`, and none for keys.
#[derive(Module, Debug)]
pub struct Block {
    norm1: LayerNorm,
    qkv: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
    q_bias: Option<Param<Tensor<1>>>,
    v_bias: Option<Param<Tensor<1>>>,
    proj: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
}

impl Block {
    /// A block of the decoders: one bias for the packed projection. Starts as PyTorch's layers do.
    pub fn plain(params: &Params, sizes: BlockSizes) -> ParamResult<Self> {
        let start = Init::uniform_fan_in(sizes.width);
        let mut block = Self::new(params, sizes, [start, start, Init::uniform_fan_in(sizes.mlp)])?;
        block.bias = Some(params.at("attn").tensor("qkv.bias", [3 * sizes.width], Init::Zeros)?);
        Ok(block)
    }

    /// Block `index`, counted from 0, of EVA's vision transformer, whose residual branches start the weaker the later they are.
    pub fn eva(params: &Params, sizes: BlockSizes, index: usize, qkv_bias: bool) -> ParamResult<Self> {
        let start = Init::Normal(0.02);
        let ends = start.scaled(1.0 / (2.0 * (index as f32 + 1.0)).sqrt());
        let mut block = Self::new(params, sizes, [start, ends, ends])?;
        if qkv_bias {
            let attention = params.at("attn");
            block.q_bias = Some(attention.tensor("q_bias", [sizes.width], Init::Zeros)?);
            block.v_bias = Some(attention.tensor("v_bias", [sizes.width], Init::Zeros)?);
        }
        Ok(block)
    }

    /// Starts of `qkv` and `fc1`, of `proj`, and of `fc2`.
    fn new(params: &Params, sizes: BlockSizes, [start, proj, fc2]: [Init; 3]) -> ParamResult<Self> {
        let BlockSizes { width, heads, mlp, epsilon } = sizes;
        let (attention, hidden) = (params.at("attn"), params.at("mlp"));
        let names = ["weight", "bias"];
        Ok(Self {
            norm1: LayerNorm::new(&params.at("norm1"), width, epsilon)?,
            qkv: attention.matrix_transposed("qkv.weight", [3 * width, width], start)?,
            bias: None,
            q_bias: None,
            v_bias: None,
            proj: Linear::with_names(&attention.at("proj"), names, width, width, true, proj)?,
            norm2: LayerNorm::new(&params.at("norm2"), width, epsilon)?,
            fc1: Linear::with_names(&hidden.at("fc1"), names, width, mlp, true, start)?,
            fc2: Linear::with_names(&hidden.at("fc2"), names, mlp, width, true, fc2)?,
            heads,
        })
    }

    /// `[batch, positions, width] -> [batch, positions, width]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let qkv = linear(self.norm1.forward(x.clone()), self.qkv.val(), self.qkv_bias());
        let x = x + self.proj.forward(packed_self_attention(qkv, self.heads));
        let hidden = gelu(self.fc1.forward(self.norm2.forward(x.clone())));
        x + self.fc2.forward(hidden)
    }

    /// Biases of queries, keys and values side by side.
    fn qkv_bias(&self) -> Option<Tensor<1>> {
        match (&self.bias, &self.q_bias, &self.v_bias) {
            (Some(bias), _, _) => Some(bias.val()),
            (None, Some(q), Some(v)) => {
                let (q, v) = (q.val(), v.val());
                let keys = q.zeros_like();
                Some(Tensor::cat(vec![q, keys, v], 0))
            }
            _ => None,
        }
    }
}
