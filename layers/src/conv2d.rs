//! Two-dimensional convolution.

use burn::module::{Module, Param};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, module};
use tessera_shaders::{conv3x3, conv3x3_doubled, conv3x3_halved};

use crate::Init;
use crate::params::{ParamResult, Params};

/// Convolution with a square kernel (of odd width) and zero padding; [`Conv2d::forward`] keeps the size.
#[derive(Module, Debug)]
pub struct Conv2d {
    weight: Param<Tensor<4>>,
    bias: Option<Param<Tensor<1>>>,
}

impl Conv2d {
    /// Takes `weight [outputs, inputs, kernel, kernel]` and, if `bias`, `bias [outputs]`.
    pub fn new(params: &Params, [inputs, outputs]: [usize; 2], kernel: usize, bias: bool) -> ParamResult<Self> {
        Self::with_init(params, [inputs, outputs], kernel, bias, Init::Normal(0.02))
    }

    /// [`Conv2d::new`] with a bias, starting uniform in one over the root of a weight's inputs, as PyTorch's convolutions
    /// do; the bias starts at zero.
    pub fn uniform(params: &Params, [inputs, outputs]: [usize; 2], kernel: usize) -> ParamResult<Self> {
        let init = Init::uniform_fan_in(inputs * kernel * kernel);
        Self::with_init(params, [inputs, outputs], kernel, true, init)
    }

    fn with_init(
        params: &Params,
        [inputs, outputs]: [usize; 2],
        kernel: usize,
        bias: bool,
        init: Init,
    ) -> ParamResult<Self> {
        let weight = params.tensor("weight", [outputs, inputs, kernel, kernel], init)?;
        let bias = bias.then(|| params.tensor("bias", [outputs], Init::Zeros)).transpose()?;
        Ok(Self { weight, bias })
    }

    /// `[batch, inputs, height, width] -> [batch, outputs, height, width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (weight, bias) = self.parts();
        convolve(x, weight, bias)
    }

    /// The gradient, by the weight alone, of a `loss` of what [`Conv2d::forward`] makes of `x`: `[outputs, inputs, kernel, kernel]`, on an autodiff
    /// device. No other graph takes part; `None` if the loss does not depend on the weight.
    pub fn weight_gradient(&self, x: Tensor<4>, loss: impl FnOnce(Tensor<4>) -> Tensor<1>) -> Option<Tensor<4>> {
        let (weight, bias) = self.parts();
        let weight = weight.detach().require_grad();
        let y = convolve(x.detach(), weight.clone(), bias.map(Tensor::detach));
        weight.grad(&loss(y).backward())
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

    /// The convolution with stride 2 of the picture with `kernel - 2` rows and columns of zeros to its right and bottom:
    /// `[batch, inputs, height, width] -> [batch, outputs, height / 2, width / 2]` (rounded down).
    ///
    /// This is how autoencoders of the LDM family halve. It is not the symmetric padding of most networks: an output
    /// stands for its pixel and the two to the right of it.
    pub fn forward_halved(&self, x: Tensor<4>) -> Tensor<4> {
        let (weight, bias) = self.parts();
        if weight.dims()[2] == 3 {
            return conv3x3_halved(x, weight, bias);
        }
        let added = weight.dims()[2].saturating_sub(2);
        let padded = x.pad((0, added, 0, added), 0.0);
        module::conv2d(padded, weight, bias, ConvOptions::new([2, 2], [0, 0], [1, 1], 1))
    }

    fn parts(&self) -> (Tensor<4>, Option<Tensor<1>>) {
        (self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}

fn convolve(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ParamSource;
    use burn::tensor::Device;

    #[test]
    fn a_halving_sums_over_the_pixel_and_its_right_and_lower_neighbours() {
        let ones = |name: &str, _: &[usize], _| if name == "weight" { Init::Ones } else { Init::Zeros };
        let source = ParamSource::seeded_with(0, &Device::flex(), &ones);
        let convolution = Conv2d::new(&source.root(), [1, 1], 3, true).unwrap();
        // Powers of two, so that a sum says which pixels went into it.
        for (height, width) in [(4, 4), (5, 5), (4, 3)] {
            let pixels: Vec<f32> = (0..height * width).map(|i| (1_u32 << i) as f32 / 1024.0).collect();
            let data = burn::tensor::TensorData::new(pixels.clone(), [1, 1, height, width]);
            let halved = convolution.forward_halved(Tensor::from_data(data, &Device::flex()));
            assert_eq!(halved.dims(), [1, 1, height / 2, width / 2]);
            let values: Vec<f32> = halved.into_data().iter().collect();
            for (at, value) in values.iter().enumerate() {
                let (row, column) = (at / (width / 2) * 2, at % (width / 2) * 2);
                let window = (row..row + 3).flat_map(|y| (column..column + 3).map(move |x| (y, x)));
                let inside = window.filter(|(y, x)| *y < height && *x < width);
                let sum: f32 = inside.map(|(y, x)| pixels[y * width + x]).sum();
                assert_eq!(*value, sum, "{height}x{width} at {at}");
            }
        }
    }
}
