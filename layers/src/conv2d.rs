//! Two-dimensional convolution.

use burn::module::{Module, Param};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, module};
use tessera_shaders::{conv3x3, conv3x3_doubled};

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
        let (weight, bias) = self.parts();
        match weight.dims()[2] {
            1 => pointwise(x, weight, bias),
            3 => conv3x3(x, weight, bias),
            kernel => {
                let padding = (kernel - 1) / 2;
                let options = ConvOptions::new([1, 1], [padding, padding], [1, 1], 1);
                module::conv2d(x, weight, bias, options)
            }
        }
    }

    /// [`Conv2d::forward`] of the picture enlarged by two to the nearest pixel, for a 3x3 kernel:
    /// `[batch, inputs, height, width] -> [batch, outputs, 2 * height, 2 * width]`.
    ///
    /// # Panics
    /// If the kernel is not 3x3: a shape error, as in any tensor operation.
    pub fn forward_doubled(&self, x: Tensor<4>) -> Tensor<4> {
        let (weight, bias) = self.parts();
        conv3x3_doubled(x, weight, bias)
    }

    fn parts(&self) -> (Tensor<4>, Option<Tensor<1>>) {
        (self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}

/// A 1x1 convolution as the matrix product it is.
fn pointwise(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    let [batch, inputs, height, width] = x.dims();
    let [outputs, ..] = weight.dims();
    let y = weight.reshape([1, outputs, inputs]).matmul(x.reshape([batch, inputs, height * width]));
    let y = y.reshape([batch, outputs, height, width]);
    match bias {
        Some(bias) => y + bias.reshape([1, outputs, 1, 1]),
        None => y,
    }
}
