//! Residual block of the MaskGIT-VQGAN.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_layers::{Conv2d, GroupNorm, ParamResult, Params};

use super::config::{EPSILON, GROUPS};

/// norm, SiLU, 3x3 convolution, twice; equal widths add the input.
///
/// Where the width changes, the released network adds the 1x1 `nin_shortcut` of the residual itself and never the
/// input: `y = r + nin_shortcut(r)`. The weights were trained so.
#[derive(Module, Debug)]
pub struct ResBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    conv2: Conv2d,
    nin_shortcut: Option<Conv2d>,
}

impl ResBlock {
    /// A block from `inputs` to `outputs` channels, both divisible by 32.
    pub fn new(params: &Params, inputs: usize, outputs: usize) -> ParamResult<Self> {
        let shortcut = || Conv2d::new(&params.at("nin_shortcut"), [outputs, outputs], 1, false);
        Ok(Self {
            norm1: GroupNorm::new(&params.at("norm1"), inputs, GROUPS, EPSILON)?,
            conv1: Conv2d::new(&params.at("conv1"), [inputs, outputs], 3, false)?,
            norm2: GroupNorm::new(&params.at("norm2"), outputs, GROUPS, EPSILON)?,
            conv2: Conv2d::new(&params.at("conv2"), [outputs, outputs], 3, false)?,
            nin_shortcut: (inputs != outputs).then(shortcut).transpose()?,
        })
    }

    /// `[batch, inputs, height, width] -> [batch, outputs, height, width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let residual = self.conv1.forward(self.norm1.forward_silu(x.clone()));
        let residual = self.conv2.forward(self.norm2.forward_silu(residual));
        match &self.nin_shortcut {
            Some(shortcut) => residual.clone() + shortcut.forward(residual),
            None => x + residual,
        }
    }
}
