//! The small networks on both sides of the codebook.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_layers::{Init, Linear, ParamResult, Params};

/// `Linear(tanh(Linear(x)))`, under `0` and `2`.
#[derive(Module, Debug)]
pub struct TaskLayer {
    inner: Linear,
    outer: Linear,
}

impl TaskLayer {
    /// From `inputs` channels through as many to `outputs`.
    pub fn new(params: &Params, inputs: usize, outputs: usize) -> ParamResult<Self> {
        let (names, start) = (["weight", "bias"], Init::uniform_fan_in(inputs));
        Ok(Self {
            inner: Linear::with_names(&params.at("0"), names, inputs, inputs, true, start)?,
            outer: Linear::with_names(&params.at("2"), names, inputs, outputs, true, start)?,
        })
    }

    /// `[batch, positions, inputs] -> [batch, positions, outputs]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.outer.forward(self.inner.forward(x).tanh())
    }
}
