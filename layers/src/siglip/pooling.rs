//! One vector of a picture: a learned query that looks at all patches.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};
use tessera_shaders::{AttentionMask, masked_attention};

use crate::params::{ParamResult, Params};
use crate::{Init, LayerNorm, Linear};

/// `y = out_proj(attention(probe, x))`, then `y + fc2(gelu(fc1(layernorm(y))))`.
///
/// Names: `probe`, `attention.in_proj_weight`, `attention.in_proj_bias`, `attention.out_proj`, `layernorm`, `mlp.fc1`,
/// `mlp.fc2`.
#[derive(Module, Debug)]
pub struct AttentionPooling {
    probe: Param<Tensor<3>>,
    in_proj: Linear,
    out_proj: Linear,
    layernorm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
}

impl AttentionPooling {
    /// Pooling of `width` channels by `heads` heads (which divide the width) and an MLP of `hidden` units.
    pub fn new(params: &Params, width: usize, heads: usize, hidden: usize, epsilon: f64) -> ParamResult<Self> {
        let (attention, mlp) = (params.at("attention"), params.at("mlp"));
        let (names, init) = (["in_proj_weight", "in_proj_bias"], Init::xavier_uniform(width, 3 * width));
        Ok(Self {
            probe: params.tensor("probe", [1, 1, width], Init::Normal(0.02))?,
            in_proj: Linear::with_names(&attention, names, width, 3 * width, true, init)?,
            out_proj: Linear::new(&attention.at("out_proj"), width, width, true)?,
            layernorm: LayerNorm::new(&params.at("layernorm"), width, epsilon)?,
            fc1: Linear::new(&mlp.at("fc1"), width, hidden, true)?,
            fc2: Linear::new(&mlp.at("fc2"), hidden, width, true)?,
            heads,
        })
    }

    /// `[batch, length, width] -> [batch, width]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let [batch, _, width] = x.dims();
        let probe = self.probe.val().expand([batch, 1, width]);
        let q = self.in_proj.forward(probe).narrow(2, 0, width);
        let packed = self.in_proj.forward(x);
        let (k, v) = (packed.clone().narrow(2, width, width), packed.narrow(2, 2 * width, width));
        let scale = 1.0 / (width as f32 / self.heads as f32).sqrt();
        let y = self.out_proj.forward(masked_attention(q, k, v, self.heads, scale, AttentionMask::Full));
        let hidden = activation::gelu_approximate(self.fc1.forward(self.layernorm.forward(y.clone())));
        (y + self.fc2.forward(hidden)).reshape([batch, width])
    }
}
