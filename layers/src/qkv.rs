//! A packed projection to queries, keys and values in which keys have no bias.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use tessera_shaders::linear;

use crate::Init;
use crate::params::{ParamResult, Params};

/// `[q | k | v] = x W^T + [q_bias | 0 | v_bias]` (BEiT; Bao et al. 2021).
///
/// A bias of keys would add the same number to all scores of a query, so that it is left out. Some releases store its zeros
/// all the same, as a buffer.
#[derive(Module, Debug)]
pub struct PackedQkv {
    weight: Param<Tensor<2>>,
    q_bias: Param<Tensor<1>>,
    v_bias: Param<Tensor<1>>,
    zero_k_bias: Option<Param<Tensor<1>>>,
}

impl PackedQkv {
    /// Takes `qkv.weight [3 * width, inputs]`, `q_bias`, `v_bias` and, if `has_buffer`, `zero_k_bias`, each `[width]`.
    pub fn new(params: &Params, inputs: usize, width: usize, has_buffer: bool) -> ParamResult<Self> {
        let bias = |name: &str| params.tensor(name, [width], Init::Zeros);
        Ok(Self {
            weight: params.at("qkv").matrix_transposed("weight", [3 * width, inputs], Init::Normal(0.02))?,
            q_bias: bias("q_bias")?,
            v_bias: bias("v_bias")?,
            zero_k_bias: has_buffer.then(|| bias("zero_k_bias")).transpose()?,
        })
    }

    /// `[batch, positions, inputs] -> [batch, positions, 3 * width]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let q = self.q_bias.val();
        let k = match &self.zero_k_bias {
            Some(bias) => bias.val().detach(),
            None => q.zeros_like().detach(),
        };
        linear(x, self.weight.val(), Some(Tensor::cat(vec![q, k, self.v_bias.val()], 0)))
    }
}
