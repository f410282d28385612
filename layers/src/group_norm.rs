//! Group normalisation, alone or with the SiLU that follows it.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use tessera_shaders::group_norm_silu;

use crate::Init;
use crate::params::{ParamResult, Params};

/// Group normalisation with affine `weight [channels]` and `bias [channels]`.
#[derive(Module, Debug)]
pub struct GroupNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    groups: usize,
    epsilon: f64,
}

impl GroupNorm {
    /// Takes `weight` and `bias`; starts from one and zero. `groups` must divide `channels`.
    pub fn new(params: &Params, channels: usize, groups: usize, epsilon: f64) -> ParamResult<Self> {
        let weight = params.tensor("weight", [channels], Init::Ones)?;
        let bias = params.tensor("bias", [channels], Init::Zeros)?;
        Ok(Self { weight, bias, groups, epsilon })
    }

    /// `[batch, channels, height, width]`, normalised.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.apply(x, false)
    }

    /// `[batch, channels, height, width]`, normalised and activated.
    pub fn forward_silu(&self, x: Tensor<4>) -> Tensor<4> {
        self.apply(x, true)
    }

    fn apply(&self, x: Tensor<4>, silu: bool) -> Tensor<4> {
        group_norm_silu(x, self.weight.val(), self.bias.val(), self.groups, self.epsilon as f32, silu)
    }
}
