//! The pre-norm transformer block of CLIP's vision tower, which TiTok and its kin use.

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use tessera_shaders::gelu;

use crate::attention::packed_self_attention;
use crate::params::{ParamResult, Params};
use crate::{Init, LayerNorm, Linear};

/// `x += out_proj(attention(ln_1(x)))`, then `x += c_proj(gelu(c_fc(ln_2(x))))`; biases everywhere, exact GELU
/// unless another activation is asked for, LayerNorm epsilon 1e-5.
///
/// Names: `ln_1`, `attn.in_proj_weight`, `attn.in_proj_bias`, `attn.out_proj`, `ln_2`, `mlp.c_fc`, `mlp.c_proj`.
/// Source: TiTok (arXiv 2406.07550), released checkpoints.
#[derive(Module, Debug)]
pub struct VitBlock {
    ln_1: LayerNorm,
    in_proj: Linear,
    out_proj: Linear,
    ln_2: LayerNorm,
    c_fc: Linear,
    c_proj: Linear,
    heads: usize,
    #[module(skip)]
    activation: VitActivation,
}

/// What stands between the two layers of a [`VitBlock`]'s MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VitActivation {
    /// Exact GELU: TiTok and its kin.
    #[default]
    Gelu,
    /// `x * sigmoid(1.702 x)`: OpenAI's CLIP.
    QuickGelu,
}

impl VitActivation {
    fn apply(self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Gelu => gelu(x),
            Self::QuickGelu => x.clone() * activation::sigmoid(x.mul_scalar(1.702)),
        }
    }
}

/// LayerNorm epsilon of these towers.
pub const VIT_EPSILON: f64 = 1e-5;

impl VitBlock {
    /// A block of `width` channels, `heads` heads (which divide the width) and an MLP of `mlp` hidden units.
    pub fn new(params: &Params, width: usize, heads: usize, mlp: usize) -> ParamResult<Self> {
        Self::with_activation(params, width, heads, mlp, VitActivation::Gelu)
    }

    /// [`VitBlock::new`] with another activation.
    pub fn with_activation(
        params: &Params,
        width: usize,
        heads: usize,
        mlp: usize,
        activation: VitActivation,
    ) -> ParamResult<Self> {
        let attention = params.at("attn");
        let mlp_params = params.at("mlp");
        let in_proj_init = Init::xavier_uniform(width, 3 * width);
        Ok(Self {
            ln_1: LayerNorm::new(&params.at("ln_1"), width, VIT_EPSILON)?,
            in_proj: Linear::with_names(
                &attention,
                ["in_proj_weight", "in_proj_bias"],
                width,
                3 * width,
                true,
                in_proj_init,
            )?,
            out_proj: Linear::new(&attention.at("out_proj"), width, width, true)?,
            ln_2: LayerNorm::new(&params.at("ln_2"), width, VIT_EPSILON)?,
            c_fc: Linear::new(&mlp_params.at("c_fc"), width, mlp, true)?,
            c_proj: Linear::new(&mlp_params.at("c_proj"), mlp, width, true)?,
            heads,
            activation,
        })
    }

    /// `[batch, length, width] -> [batch, length, width]`, every position attending to every other.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let qkv = self.in_proj.forward(self.ln_1.forward(x.clone()));
        let x = x + self.out_proj.forward(packed_self_attention(qkv, self.heads));
        let hidden = self.activation.apply(self.c_fc.forward(self.ln_2.forward(x.clone())));
        x + self.c_proj.forward(hidden)
    }
}
