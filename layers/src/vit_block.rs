//! The pre-norm transformer block of vision transformers, under the names of several families.

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use tessera_shaders::device::largest_buffer;
use tessera_shaders::gelu;

use crate::attention::packed_self_attention;
use crate::params::{ParamResult, Params};
use crate::runs::in_runs;
use crate::{Init, LayerNorm, Linear};

/// `x += out_proj(attention(ln_1(x)))`, then `x += c_proj(gelu(c_fc(ln_2(x))))`; biases everywhere, exact GELU unless another
/// activation is asked for.
///
/// Source: Dosovitskiy et al. 2020, "An Image is Worth 16x16 Words" (arXiv 2010.11929).
#[derive(Module, Debug)]
pub struct VitBlock {
    ln_1: LayerNorm,
    in_proj: Linear,
    out_proj: Linear,
    ln_2: LayerNorm,
    c_fc: Linear,
    c_proj: Linear,
    heads: usize,
    hidden: usize,
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

/// LayerNorm epsilon of CLIP's towers.
pub const VIT_EPSILON: f64 = 1e-5;

/// What a family calls the tensors of a [`VitBlock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VitNames {
    /// The norms before attention and MLP.
    pub norms: [&'static str; 2],
    /// Weight and bias of the packed projection of queries, keys and values.
    pub packed: [&'static str; 2],
    /// The projection behind attention.
    pub out: &'static str,
    /// Both layers of the MLP.
    pub mlp: [&'static str; 2],
}

impl VitNames {
    /// CLIP's vision tower, which TiTok and its kin use: `ln_1`, `attn.in_proj_weight`, `attn.in_proj_bias`, `attn.out_proj`, `ln_2`,
    /// `mlp.c_fc`, `mlp.c_proj`. Source: TiTok (arXiv 2406.07550), released checkpoints.
    pub const CLIP: Self = Self {
        norms: ["ln_1", "ln_2"],
        packed: ["attn.in_proj_weight", "attn.in_proj_bias"],
        out: "attn.out_proj",
        mlp: ["mlp.c_fc", "mlp.c_proj"],
    };
    /// timm's: `norm1`, `attn.qkv`, `attn.proj`, `norm2`, `mlp.fc1`, `mlp.fc2`.
    pub const TIMM: Self = Self {
        norms: ["norm1", "norm2"],
        packed: ["attn.qkv.weight", "attn.qkv.bias"],
        out: "attn.proj",
        mlp: ["mlp.fc1", "mlp.fc2"],
    };
}

impl VitBlock {
    /// A block of `width` channels, `heads` heads (which divide the width) and an MLP of `mlp` hidden units, with CLIP's names
    /// and epsilon.
    pub fn new(params: &Params, width: usize, heads: usize, mlp: usize) -> ParamResult<Self> {
        Self::with_names(params, &VitNames::CLIP, [width, heads, mlp], VIT_EPSILON)
    }

    /// [`VitBlock::new`] with other names and another epsilon of the norms; `[width, heads, hidden units]`.
    pub fn with_names(
        params: &Params,
        names: &VitNames,
        [width, heads, mlp]: [usize; 3],
        epsilon: f64,
    ) -> ParamResult<Self> {
        let ([ln_1, ln_2], [c_fc, c_proj]) = (names.norms, names.mlp);
        let in_proj_init = Init::xavier_uniform(width, 3 * width);
        Ok(Self {
            ln_1: LayerNorm::new(&params.at(ln_1), width, epsilon)?,
            in_proj: Linear::with_names(params, names.packed, width, 3 * width, true, in_proj_init)?,
            out_proj: Linear::new(&params.at(names.out), width, width, true)?,
            ln_2: LayerNorm::new(&params.at(ln_2), width, epsilon)?,
            c_fc: Linear::new(&params.at(c_fc), width, mlp, true)?,
            c_proj: Linear::new(&params.at(c_proj), mlp, width, true)?,
            heads,
            hidden: mlp,
            activation: VitActivation::default(),
        })
    }

    /// The block with another activation.
    pub fn with_activation(mut self, activation: VitActivation) -> Self {
        self.activation = activation;
        self
    }

    /// Attention heads.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// `[batch, length, width] -> [batch, length, width]`, every position attending to every other.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_with(x, |qkv| packed_self_attention(qkv, self.heads))
    }

    /// [`VitBlock::forward`] with an attention of the caller's: `attend` makes `[batch, kept, width]` of the packed projection
    /// `[batch, length, 3 * width]` (queries, keys, values; heads side by side in each). Where it keeps fewer positions than there
    /// are, those are the first, and only they come out.
    pub fn forward_with(&self, x: Tensor<3>, attend: impl FnOnce(Tensor<3>) -> Tensor<3>) -> Tensor<3> {
        let attended = attend(self.in_proj.forward(self.ln_1.forward(x.clone())));
        let ([_, kept, _], [_, length, _]) = (attended.dims(), x.dims());
        let x = if kept < length { x.narrow(1, 0, kept) } else { x };
        let x = x + self.out_proj.forward(attended);
        let mlp = |x: Tensor<3>| self.c_proj.forward(self.activation.apply(self.c_fc.forward(x)));
        let most = largest_buffer(&x.device());
        let hidden = in_runs(self.ln_2.forward(x.clone()), self.hidden, most, mlp);
        x + hidden
    }
}
