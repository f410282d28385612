//! The convolutions behind the look-up, which scales share.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use tessera_layers::{Conv2d, Init, ParamResult, Params};
use tessera_shaders::linear;

use super::Resample;

/// `(1 - a) h + a conv(h)` with a kernel three wide.
#[derive(Module, Debug)]
pub struct Phi {
    convolution: PhiConvolution,
    share: f64,
}

/// Along the line of latents, or on their square.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a quantizer holds a few, all of one sort")]
pub enum PhiConvolution {
    /// `weight [width, width, 3]`
    Line(LineConvolution),
    /// `weight [width, width, 3, 3]`
    Grid(Conv2d),
}

/// A convolution along a line, with zeros beyond its ends.
#[derive(Module, Debug)]
pub struct LineConvolution {
    weight: Param<Tensor<3>>,
    bias: Param<Tensor<1>>,
}

impl Phi {
    /// Takes `weight` and `bias`.
    pub(super) fn new(params: &Params, kind: Resample, width: usize, share: f64) -> ParamResult<Self> {
        let convolution = match kind {
            Resample::Linear1d => PhiConvolution::Line(LineConvolution {
                weight: params.tensor("weight", [width, width, 3], Init::uniform_fan_in(3 * width))?,
                bias: params.tensor("bias", [width], Init::Zeros)?,
            }),
            Resample::Grid2d => PhiConvolution::Grid(Conv2d::uniform(params, [width, width], 3)?),
        };
        Ok(Self { convolution, share })
    }

    /// `[batch, latents, width] -> [batch, latents, width]`
    pub(super) fn forward(&self, h: Tensor<3>) -> Tensor<3> {
        let mixed = match &self.convolution {
            PhiConvolution::Line(line) => line.forward(h.clone()),
            PhiConvolution::Grid(convolution) => {
                let [batch, latents, width] = h.dims();
                let side = latents.isqrt();
                let map = h.clone().swap_dims(1, 2).reshape([batch, width, side, side]);
                convolution.forward(map).reshape([batch, width, latents]).swap_dims(1, 2)
            }
        };
        h.mul_scalar(1.0 - self.share) + mixed.mul_scalar(self.share)
    }
}

impl LineConvolution {
    /// A product with each latent and its neighbours side by side.
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [_, length, width] = x.dims();
        let padded = x.pad((0, 0, 1, 1), 0.0); // [b, length + 2, width]
        let taps = (0..3).map(|tap| padded.clone().narrow(1, tap, length)).collect();
        let matrix = self.weight.val().permute([2, 1, 0]).reshape([3 * width, width]);
        linear(Tensor::cat(taps, 2), matrix, Some(self.bias.val()))
    }
}

/// Which of `convolutions` convolutions scale `scale` of `scales` uses: the one whose tick is nearest to the scale's place between
/// the first (0) and the last (1); of two as near the first.
///
/// Ticks are evenly spaced from `1 / 2K` to `1 - 1 / 2K`, for four convolutions from `1 / 3K` to `1 - 1 / 3K`, as VAR's released code
/// has it. A scale half way between two ticks, such as the third of five, goes where rounding in f64 leaves it there: steps are
/// computed in the order of numpy's `linspace`.
pub fn phi_index(scale: usize, scales: usize, convolutions: usize) -> usize {
    let place = if scales > 1 { scale as f64 / (scales - 1) as f64 } else { 0.0 };
    let (count, last) = (convolutions.max(1) as f64, convolutions.saturating_sub(1));
    let first = if convolutions == 4 { 1.0 / 3.0 / count } else { 1.0 / 2.0 / count };
    let end = 1.0 - first;
    let step = (end - first) / (last.max(1) as f64);
    let mut nearest = (0, f64::INFINITY);
    for index in 0..convolutions {
        let tick = if index == last && last > 0 { end } else { index as f64 * step + first };
        let apart = (tick - place).abs();
        if apart < nearest.1 {
            nearest = (index, apart);
        }
    }
    nearest.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_share_convolutions_as_the_released_code_has_it() {
        let all = |scales, count| -> Vec<usize> { (0..scales).map(|scale| phi_index(scale, scales, count)).collect() };
        assert_eq!(all(9, 4), [0, 0, 1, 1, 2, 2, 2, 3, 3]);
        assert_eq!(all(10, 4), [0, 0, 1, 1, 1, 2, 2, 3, 3, 3]);
        assert_eq!(all(11, 4), [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3]);
        assert_eq!(all(12, 4), [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]);
        assert_eq!(all(5, 4), [0, 1, 2, 2, 3]);
        assert_eq!((all(5, 1), all(1, 4), all(6, 6)), (vec![0; 5], vec![0], vec![0, 1, 2, 3, 4, 5]));
    }
}
