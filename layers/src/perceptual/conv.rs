//! Convolutions and tensors that do not learn.

use burn::module::Param;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, activation, module};
use tessera_shaders::conv3x3;

use crate::Init;
use crate::params::{ParamResult, Params};

/// A value computed of parameters; nothing in a listing, which is never run.
pub(super) fn derived<const D: usize>(params: &Params, value: impl FnOnce() -> Tensor<D>) -> Tensor<D> {
    if params.is_listing() { Tensor::zeros([0; D], &Device::flex()) } else { value() }
}

/// A parameter's value.
pub(super) fn frozen<const D: usize>(params: &Params, param: Param<Tensor<D>>) -> Tensor<D> {
    derived(params, || param.val())
}

/// A frozen value beside `x`, on the autodiff device if `x` is there; it wants no gradient.
pub(super) fn beside<const D: usize, const X: usize>(value: &Tensor<D>, x: &Tensor<X>) -> Tensor<D> {
    if x.is_autodiff() { value.clone().autodiff() } else { value.clone() }
}

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: [usize; 2],
    pub stride: usize,
    pub padding: [usize; 2],
}

impl Shape {
    /// A square kernel; stride 1, no padding.
    pub fn square(inputs: usize, outputs: usize, side: usize) -> Self {
        Self { inputs, outputs, kernel: [side; 2], stride: 1, padding: [0; 2] }
    }

    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    pub fn padding(self, padding: usize) -> Self {
        Self { padding: [padding; 2], ..self }
    }

    pub fn weight(self) -> [usize; 4] {
        [self.outputs, self.inputs, self.kernel[0], self.kernel[1]]
    }
}

/// A convolution with a bias, and ReLU.
#[derive(Debug, Clone)]
pub(super) struct ConvRelu {
    weight: Tensor<4>,
    bias: Tensor<1>,
    shape: Shape,
}

impl ConvRelu {
    /// Takes `weight [outputs, inputs, kh, kw]` and `bias [outputs]`.
    pub fn new(params: &Params, shape: Shape) -> ParamResult<Self> {
        let weight = params.tensor("weight", shape.weight(), Init::Normal(0.02))?;
        let bias = params.tensor("bias", [shape.outputs], Init::Zeros)?;
        Ok(Self::of(frozen(params, weight), frozen(params, bias), shape))
    }

    /// A convolution of these values.
    pub fn of(weight: Tensor<4>, bias: Tensor<1>, shape: Shape) -> Self {
        Self { weight, bias, shape }
    }

    /// `[batch, inputs, h, w] -> [batch, outputs, h', w']`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (weight, bias) = (beside(&self.weight, &x), beside(&self.bias, &x));
        let Shape { inputs, outputs, kernel, stride, padding } = self.shape;
        let y = match (kernel, stride, padding) {
            ([3, 3], 1, [1, 1]) => conv3x3(x, weight, Some(bias)),
            ([1, 1], 1, [0, 0]) => {
                let [batch, _, height, width] = x.dims();
                let y = weight.reshape([1, outputs, inputs]).matmul(x.reshape([batch, inputs, height * width]));
                y.reshape([batch, outputs, height, width]) + bias.reshape([1, outputs, 1, 1])
            }
            _ => module::conv2d(x, weight, Some(bias), ConvOptions::new([stride; 2], padding, [1, 1], 1)),
        };
        activation::relu(y)
    }
}
