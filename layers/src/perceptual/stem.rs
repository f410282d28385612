//! The first convolution of EfficientNet-Lite0: 3x3, stride 2.

use burn::tensor::ops::{ConvOptions, PadMode};
use burn::tensor::{Tensor, module};
use tessera_shaders::{Kernel, KernelState, conv3x3, kernel_status};

use super::conv::{beside, derived, frozen};
use crate::Init;
use crate::params::{ParamResult, Params};

/// Scaling of the pixels, convolution and ReLU6.
#[derive(Debug, Clone)]
pub(super) struct Stem {
    /// `[outputs, 3, 3, 3]`
    weight: Tensor<4>,
    /// `[outputs, 12, 3, 3]`: the same convolution on two by two pixels taken as one of twelve channels, where the
    /// stride is 1 and the CPU has a kernel.
    folded: Tensor<4>,
    bias: Tensor<1>,
}

impl Stem {
    /// Takes `weight [outputs, 3, 3, 3]` and `bias [outputs]`.
    pub fn new(params: &Params, outputs: usize) -> ParamResult<Self> {
        let weight = params.tensor("weight", [outputs, 3, 3, 3], Init::Normal(0.02))?;
        let bias = params.tensor("bias", [outputs], Init::Zeros)?;
        let weight = frozen(params, weight);
        let folded = derived(params, || fold(weight.clone()));
        Ok(Self { weight, folded, bias: frozen(params, bias) })
    }

    /// `[batch, 3, h, w]` in 0..=1 to `[batch, outputs, ceil(h / 2), ceil(w / 2)]`.
    pub fn forward(&self, rgb: Tensor<4>) -> Tensor<4> {
        // (255 rgb - 127) / 128
        let x = rgb * (255.0 / 128.0) - 127.0 / 128.0;
        let [batch, channels, height, width] = x.dims();
        let bias = Some(beside(&self.bias, &x));
        // "Same" padding of this kernel: one pixel behind an even side, one at both ends of an odd one.
        let [above, left] = [height % 2, width % 2];
        let y = if kernel_status(Kernel::Conv3x3, &x.device()) == KernelState::Cpu {
            let x = if [above, left] == [0, 0] { x } else { x.pad((left, 0, above, 0), PadMode::Constant(0.0)) };
            let [rows, columns] = [(height + above) / 2, (width + left) / 2];
            let pairs = x.reshape([batch, channels, rows, 2, columns, 2]).permute([0, 1, 3, 5, 2, 4]);
            let x = pairs.reshape([batch, channels * 4, rows, columns]);
            let folded = beside(&self.folded, &x);
            conv3x3(x, folded, bias)
        } else {
            let x = x.pad((left, 1, above, 1), PadMode::Constant(0.0));
            let weight = beside(&self.weight, &x);
            module::conv2d(x, weight, bias, ConvOptions::new([2, 2], [0, 0], [1, 1], 1))
        };
        y.clamp(0.0, 6.0)
    }
}

/// `[o, c, 3, 3]` of stride 2 as `[o, 4 c, 3, 3]` of stride 1: rows 0 and 1 of a kernel lie in the pair of pixels at the
/// centre, row 2 in the pair below it, whose other pixel counts nothing; columns likewise.
fn fold(weight: Tensor<4>) -> Tensor<4> {
    let [outputs, channels, ..] = weight.dims();
    // Three by three pairs: a pair of zeros before the kernel, a zero behind it.
    let wide = weight.pad((2, 1, 2, 1), PadMode::Constant(0.0));
    let pairs = wide.reshape([outputs, channels, 3, 2, 3, 2]).permute([0, 1, 3, 5, 2, 4]);
    pairs.reshape([outputs, channels * 4, 3, 3])
}
