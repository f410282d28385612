//! The two layers between an encoder and its codes, or between codes and features.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_layers::{Linear, ParamResult, Params};

/// `fc2(tanh(fc1(x)))`, under `0` and `2`.
#[derive(Module, Debug)]
pub(super) struct TaskLayer {
    first: Linear,
    last: Linear,
}

impl TaskLayer {
    pub(super) fn new(params: &Params, width: usize, outputs: usize) -> ParamResult<Self> {
        Ok(Self {
            first: Linear::new(&params.at("0"), width, width, true)?,
            last: Linear::new(&params.at("2"), width, outputs, true)?,
        })
    }

    /// `[batch, length, width] -> [batch, length, outputs]`
    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.last.forward(self.first.forward(x).tanh())
    }
}
