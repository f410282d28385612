//! The block of the pixel decoder.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_layers::attention::packed_self_attention;
use tessera_layers::{Init, Linear, ParamResult, Params};
use tessera_shaders::{gated_add, gelu, modulated_norm};

use super::config::PixelConfig;

/// Epsilon of the decoder's normalisations, which have no parameters.
pub(super) const EPSILON: f32 = 1e-6;

/// `x += gate * attention(norm(x))`, `x += gate * mlp(norm(x))`, where norms are shifted and scaled and branches gated by the condition
/// (adaLN-zero): a block at its start is the identity. All positions see one another.
///
/// Names: `attn.qkv`, `attn.proj`, `mlp.fc1`, `mlp.fc2`, `modulation`. Source: Peebles and Xie 2023, "Scalable Diffusion Models with
/// Transformers".
#[derive(Module, Debug)]
pub struct PixelBlock {
    qkv: Linear,
    proj: Linear,
    fc1: Linear,
    fc2: Linear,
    modulation: Linear,
    heads: usize,
}

impl PixelBlock {
    /// A block of the decoder. `config` must have passed its check.
    pub fn new(params: &Params, config: &PixelConfig) -> ParamResult<Self> {
        let (width, mlp) = (config.width, config.mlp());
        let (attention, hidden) = (params.at("attn"), params.at("mlp"));
        Ok(Self {
            qkv: xavier(&attention.at("qkv"), [width, 3 * width])?,
            proj: xavier(&attention.at("proj"), [width, width])?,
            fc1: xavier(&hidden.at("fc1"), [width, mlp])?,
            fc2: xavier(&hidden.at("fc2"), [mlp, width])?,
            modulation: zero(&params.at("modulation"), [width, 6 * width])?,
            heads: config.heads,
        })
    }

    /// `x [batch, positions, width]` under `condition [batch, width]`.
    pub fn forward(&self, x: Tensor<3>, condition: Tensor<2>) -> Tensor<3> {
        let [batch, _, width] = x.dims();
        let numbers = self.modulation.forward(condition).reshape([batch, 6, width]);
        let part = |part: usize| numbers.clone().slice([0..batch, part..part + 1, 0..width]);
        let seen = modulated_norm(x.clone(), part(0), part(1), 0, EPSILON);
        let attended = self.proj.forward(packed_self_attention(self.qkv.forward(seen), self.heads));
        let x = gated_add(x, attended, part(2), 0);
        let seen = modulated_norm(x.clone(), part(3), part(4), 0, EPSILON);
        let hidden = self.fc2.forward(gelu(self.fc1.forward(seen)));
        gated_add(x, hidden, part(5), 0)
    }
}

/// A fully connected layer that starts from Xavier's uniform distribution.
pub(super) fn xavier(params: &Params, [inputs, outputs]: [usize; 2]) -> ParamResult<Linear> {
    Linear::with_names(params, ["weight", "bias"], inputs, outputs, true, Init::xavier_uniform(inputs, outputs))
}

/// A fully connected layer that starts at zero.
pub(super) fn zero(params: &Params, [inputs, outputs]: [usize; 2]) -> ParamResult<Linear> {
    Linear::with_names(params, ["weight", "bias"], inputs, outputs, true, Init::Zeros)
}
