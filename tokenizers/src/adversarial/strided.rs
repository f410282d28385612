//! Convolutions with one row of zeros all around, which may skip places.

use burn::module::{Module, Param};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, module};
use tessera_layers::{Init, ParamResult, Params};

/// A square kernel, a stride, and a bias where there is one.
#[derive(Module, Debug)]
pub(super) struct Strided {
    weight: Param<Tensor<4>>,
    bias: Option<Param<Tensor<1>>>,
    stride: usize,
}

impl Strided {
    /// Takes `weight [outputs, inputs, kernel, kernel]`, which starts as `init` says, and with `bias` `bias [outputs]`, from zero.
    pub(super) fn new(
        params: &Params,
        [inputs, outputs]: [usize; 2],
        [kernel, stride]: [usize; 2],
        bias: bool,
        init: Init,
    ) -> ParamResult<Self> {
        let weight = params.tensor("weight", [outputs, inputs, kernel, kernel], init)?;
        let bias = bias.then(|| params.tensor("bias", [outputs], Init::Zeros)).transpose()?;
        Ok(Self { weight, bias, stride })
    }

    /// `[batch, inputs, height, width]` to `[batch, outputs, h, w]`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let options = ConvOptions::new([self.stride; 2], [1, 1], [1, 1], 1);
        module::conv2d(x, self.weight.val(), self.bias.as_ref().map(Param::val), options)
    }
}
