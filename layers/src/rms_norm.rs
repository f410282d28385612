//! Root-mean-square normalisation over the last dimension.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::Init;
use crate::params::{ParamResult, Params};

/// `y = x / sqrt(mean(x^2) + eps) * weight`, the mean over the last dimension (Zhang and Sennrich 2019).
#[derive(Module, Debug)]
pub struct RmsNorm {
    weight: Param<Tensor<1>>,
    epsilon: f64,
}

impl RmsNorm {
    /// Takes `weight` of length `width`; starts from one.
    pub fn new(params: &Params, width: usize, epsilon: f64) -> ParamResult<Self> {
        Ok(Self { weight: params.tensor("weight", [width], Init::Ones)?, epsilon })
    }

    /// `[batch, positions, width] -> [batch, positions, width]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let scale = (x.clone() * x.clone()).mean_dim(2).add_scalar(self.epsilon).sqrt().recip();
        x * scale * self.weight.val().unsqueeze::<3>()
    }
}
