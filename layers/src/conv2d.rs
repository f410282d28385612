//! Two-dimensional convolution.

use burn::module::{Module, Param};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, module};

use crate::Init;
use crate::params::{ParamResult, Params};

/// Convolution with a square kernel, stride 1 and symmetric zero padding that keeps the size (odd kernels).
#[derive(Module, Debug)]
pub struct Conv2d {
    weight: Param<Tensor<4>>,
    bias: Option<Param<Tensor<1>>>,
}

impl Conv2d {
    /// Takes `weight [outputs, inputs, kernel, kernel]` and, if `bias`, `bias [outputs]`.
    pub fn new(params: &Params, [inputs, outputs]: [usize; 2], kernel: usize, bias: bool) -> ParamResult<Self> {
        let shape = [outputs, inputs, kernel, kernel];
        let weight = params.tensor("weight", shape, Init::Normal(0.02))?;
        let bias = bias.then(|| params.tensor("bias", [outputs], Init::Zeros)).transpose()?;
        Ok(Self { weight, bias })
    }

    /// `[batch, inputs, height, width] -> [batch, outputs, height, width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.val();
        let [_, _, kernel, _] = weight.dims();
        let padding = (kernel - 1) / 2;
        let options = ConvOptions::new([1, 1], [padding, padding], [1, 1], 1);
        module::conv2d(x, weight, self.bias.as_ref().map(Param::val), options)
    }
}
