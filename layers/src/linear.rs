//! Fully connected layer.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use tessera_shaders::linear;

use crate::Init;
use crate::params::{ParamResult, Params};

/// `y = x W^T + b`. The file holds `weight [outputs, inputs]` (PyTorch), memory its transpose.
#[derive(Module, Debug)]
pub struct Linear {
    weight: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// Takes `weight` and, if `bias`, `bias` from `params`; starts from N(0, 0.02) and zero.
    pub fn new(params: &Params, inputs: usize, outputs: usize, bias: bool) -> ParamResult<Self> {
        Self::with_names(params, ["weight", "bias"], inputs, outputs, bias, Init::Normal(0.02))
    }

    /// [`Linear::new`] with other names and another start, such as `in_proj_weight` of PyTorch's attention.
    pub fn with_names(
        params: &Params,
        [weight, bias_name]: [&str; 2],
        inputs: usize,
        outputs: usize,
        bias: bool,
        init: Init,
    ) -> ParamResult<Self> {
        let weight = params.matrix_transposed(weight, [outputs, inputs], init)?;
        let bias = bias.then(|| params.tensor(bias_name, [outputs], Init::Zeros)).transpose()?;
        Ok(Self { weight, bias })
    }

    /// A 1x1 convolution's weight `[outputs, inputs, 1, 1]`, used as the matrix it is.
    pub fn pointwise(params: &Params, inputs: usize, outputs: usize, bias: bool) -> ParamResult<Self> {
        let weight = params.pointwise_transposed("weight", [outputs, inputs], Init::Normal(0.02))?;
        let bias = bias.then(|| params.tensor("bias", [outputs], Init::Zeros)).transpose()?;
        Ok(Self { weight, bias })
    }

    /// A convolution of `kernel == stride == patch`, used as a matrix over patch vectors
    /// (`PatchOrder::ChannelsFirst`): weight `[outputs, channels, patch, patch]`.
    pub fn patch_embedding(params: &Params, channels: usize, patch: usize, outputs: usize) -> ParamResult<Self> {
        Self::patch_projection(params, channels, patch, outputs, true)
    }

    /// [`Linear::patch_embedding`], with a bias or without.
    pub fn patch_projection(
        params: &Params,
        channels: usize,
        patch: usize,
        outputs: usize,
        bias: bool,
    ) -> ParamResult<Self> {
        let shape = [outputs, channels, patch, patch];
        let weight = params.patch_matrix_transposed("weight", shape, Init::Normal(0.02))?;
        let bias = bias.then(|| params.tensor("bias", [outputs], Init::Zeros)).transpose()?;
        Ok(Self { weight, bias })
    }

    /// `[..., inputs] -> [..., outputs]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        linear(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}
