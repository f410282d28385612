//! The discriminator of pix2pix, as LlamaGen's VQ and TokenFlow learn with it.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};
use tessera_layers::{Init, ParamResult, Params};

use super::strided::Strided;
use crate::LoadError;
use crate::config::ConfigError;

/// Halving layers behind the first.
const LAYERS: usize = 3;
const SLOPE: f64 = 0.2;
const EPSILON: f64 = 1e-5;

/// 4x4 convolutions: a first and two more that halve, one that does not, each but the first with a normalisation over the batch, and the
/// logits of overlapping patches.
///
/// Names as in the released code: `main.<index>.weight` and `.bias`, indices counting activations too. Normalisations use the batch's own
/// mean and deviation: a discriminator is never run but in training. Source: Isola et al. 2017 (arXiv 1611.07004), released width 64.
#[derive(Module, Debug)]
pub struct PatchGan {
    first: Strided,
    middle: Vec<(Strided, BatchNorm)>,
    last: Strided,
}

#[derive(Module, Debug)]
struct BatchNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
}

impl PatchGan {
    /// Pixels that the smallest picture has on a side.
    pub const SMALLEST: usize = 24;

    /// Takes every tensor; `width` channels behind the first layer.
    ///
    /// # Errors
    /// [`ConfigError`] if the width is not 1 to 4096, or a checkpoint error.
    pub fn new(params: &Params, width: usize) -> Result<Self, LoadError> {
        if !(1..=1 << 12).contains(&width) {
            let expected = "a number from 1 to 4096";
            return Err(ConfigError::invalid("hidden_channels", expected, width.to_string()).into());
        }
        Ok(Self::build(&params.at("main"), width)?)
    }

    fn build(params: &Params, width: usize) -> ParamResult<Self> {
        let channels = |layer: usize| width * (1 << layer.min(3));
        let layer = |layer: usize| -> ParamResult<(Strided, BatchNorm)> {
            // The first takes the indices 0 and 1; each of these takes three.
            let (index, stride) = (3 * layer - 1, if layer < LAYERS { 2 } else { 1 });
            let convolution = convolution(&params.at(index), [channels(layer - 1), channels(layer)], stride, false)?;
            Ok((convolution, BatchNorm::new(&params.at(index + 1), channels(layer))?))
        };
        Ok(Self {
            first: convolution(&params.at(0), [3, width], 2, true)?,
            middle: (1..=LAYERS).map(layer).collect::<ParamResult<_>>()?,
            last: convolution(&params.at(3 * LAYERS + 2), [channels(LAYERS), 1], 1, true)?,
        })
    }

    /// Pictures `[batch, 3, H, W]` to logits `[batch, 1, H / 8 - 2, W / 8 - 2]`; positive means real.
    ///
    /// # Panics
    /// If a side is shorter than [`PatchGan::SMALLEST`]: a shape error, as in any tensor operation.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let mut x = activation::leaky_relu(self.first.forward(images), SLOPE);
        for (convolution, norm) in &self.middle {
            x = activation::leaky_relu(norm.forward(convolution.forward(x)), SLOPE);
        }
        self.last.forward(x)
    }
}

/// The start of every convolution here.
fn convolution(params: &Params, sizes: [usize; 2], stride: usize, bias: bool) -> ParamResult<Strided> {
    Strided::new(params, sizes, [4, stride], bias, Init::Normal(0.02))
}

impl BatchNorm {
    fn new(params: &Params, channels: usize) -> ParamResult<Self> {
        let weight = params.tensor("weight", [channels], Init::Ones)?;
        Ok(Self { weight, bias: params.tensor("bias", [channels], Init::Zeros)? })
    }

    /// Each channel brought to mean 0 and deviation 1 over pictures and places.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, channels, ..] = x.dims();
        let mean = |x: Tensor<4>| x.mean_dim(0).mean_dim(2).mean_dim(3);
        let centred = x.clone() - mean(x);
        let deviation = mean(centred.clone().square()).add_scalar(EPSILON).sqrt();
        let each = |values: &Param<Tensor<1>>| values.val().reshape([1, channels, 1, 1]);
        centred / deviation * each(&self.weight) + each(&self.bias)
    }
}
