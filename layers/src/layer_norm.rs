//! Layer normalisation over the last dimension.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use tessera_shaders::layer_norm;

use crate::Init;
use crate::params::{ParamResult, Params};

/// `y = (x - mean) / sqrt(var + eps) * weight + bias`, moments over the last dimension.
#[derive(Module, Debug)]
pub struct LayerNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    epsilon: f64,
}

impl LayerNorm {
    /// Takes `weight` and `bias` of length `width`; starts from one and zero.
    pub fn new(params: &Params, width: usize, epsilon: f64) -> ParamResult<Self> {
        let weight = params.tensor("weight", [width], Init::Ones)?;
        let bias = params.tensor("bias", [width], Init::Zeros)?;
        Ok(Self { weight, bias, epsilon })
    }

    /// `[..., width] -> [..., width]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        layer_norm(x, self.weight.val(), self.bias.val(), self.epsilon as f32)
    }
}
