//! Residual block of a convolutional autoencoder.

use burn::module::Module;
use burn::tensor::Tensor;

use super::GROUP_EPSILON;
use crate::{Conv2d, GroupNorm, ParamResult, Params};

/// norm, SiLU, 3x3 convolution, twice, added to the input; where the width changes, to a 1x1 convolution of it.
#[derive(Module, Debug)]
pub struct ResidualBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
}

impl ResidualBlock {
    /// Takes `norm1`, `conv1`, `norm2`, `conv2` and, if the widths differ, a convolution called `shortcut`. `groups`
    /// divides both widths.
    pub fn new(
        params: &Params,
        [inputs, outputs]: [usize; 2],
        groups: usize,
        shortcut: &'static str,
    ) -> ParamResult<Self> {
        Self::with_kernel(params, [inputs, outputs], groups, shortcut, 3)
    }

    /// [`ResidualBlock::new`] whose first convolution has a kernel of another (odd) width: 1 in DualToken's
    /// `post_quant_conv`.
    pub fn with_kernel(
        params: &Params,
        [inputs, outputs]: [usize; 2],
        groups: usize,
        shortcut: &'static str,
        kernel: usize,
    ) -> ParamResult<Self> {
        let residual = || Conv2d::uniform(&params.at(shortcut), [inputs, outputs], 1);
        Ok(Self {
            norm1: GroupNorm::new(&params.at("norm1"), inputs, groups, GROUP_EPSILON)?,
            conv1: Conv2d::uniform(&params.at("conv1"), [inputs, outputs], kernel)?,
            norm2: GroupNorm::new(&params.at("norm2"), outputs, groups, GROUP_EPSILON)?,
            conv2: Conv2d::uniform(&params.at("conv2"), [outputs, outputs], 3)?,
            shortcut: (inputs != outputs).then(residual).transpose()?,
        })
    }

    /// `[batch, inputs, height, width] -> [batch, outputs, height, width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let residual = self.conv1.forward(self.norm1.forward_silu(x.clone())); // [b, outputs, h, w]
        let residual = self.conv2.forward(self.norm2.forward_silu(residual)); // [b, outputs, h, w]
        match &self.shortcut {
            Some(shortcut) => shortcut.forward(x) + residual,
            None => x + residual,
        }
    }
}
