//! The transformer block of both towers.

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use tessera_shaders::{AttentionMask, masked_attention};

use crate::params::{ParamResult, Params};
use crate::{LayerNorm, Linear};

/// `x += out_proj(attention(layer_norm1(x)))`, then `x += fc2(gelu(fc1(layer_norm2(x))))`: biases everywhere, every position
/// sees all others, GELU in its tanh form.
///
/// Names: `layer_norm1`, `self_attn.{q,k,v,out}_proj`, `layer_norm2`, `mlp.fc1`, `mlp.fc2`.
#[derive(Module, Debug)]
pub struct SiglipBlock {
    layer_norm1: LayerNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    layer_norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
}

impl SiglipBlock {
    /// A block of `width` channels, `heads` heads (which divide the width) and an MLP of `hidden` units.
    pub fn new(params: &Params, width: usize, heads: usize, hidden: usize, epsilon: f64) -> ParamResult<Self> {
        let (attention, mlp) = (params.at("self_attn"), params.at("mlp"));
        let square = |name: &str| Linear::new(&attention.at(name), width, width, true);
        Ok(Self {
            layer_norm1: LayerNorm::new(&params.at("layer_norm1"), width, epsilon)?,
            q_proj: square("q_proj")?,
            k_proj: square("k_proj")?,
            v_proj: square("v_proj")?,
            out_proj: square("out_proj")?,
            layer_norm2: LayerNorm::new(&params.at("layer_norm2"), width, epsilon)?,
            fc1: Linear::new(&mlp.at("fc1"), width, hidden, true)?,
            fc2: Linear::new(&mlp.at("fc2"), hidden, width, true)?,
            heads,
        })
    }

    /// `[batch, length, width] -> [batch, length, width]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let normal = self.layer_norm1.forward(x.clone());
        let [q, k, v] = [&self.q_proj, &self.k_proj, &self.v_proj].map(|part| part.forward(normal.clone()));
        let [_, _, width] = q.dims();
        let scale = 1.0 / (width as f32 / self.heads as f32).sqrt();
        let x = x + self.out_proj.forward(masked_attention(q, k, v, self.heads, scale, AttentionMask::Full));
        let hidden = activation::gelu_approximate(self.fc1.forward(self.layer_norm2.forward(x.clone())));
        x + self.fc2.forward(hidden)
    }
}
