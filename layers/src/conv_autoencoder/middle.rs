//! The middle of an encoder or a decoder, at the coarsest resolution.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{ConvNames, ConvSizes, ResidualBlock, SpatialAttention};
use crate::{ParamResult, Params, Trace};

/// Residual block, attention, residual block.
#[derive(Module, Debug)]
pub(super) struct Middle {
    first: ResidualBlock,
    attention: Option<SpatialAttention>,
    last: ResidualBlock,
}

impl Middle {
    pub(super) fn new(params: &Params, sizes: &ConvSizes, names: &ConvNames) -> ParamResult<Self> {
        let (width, groups) = (sizes.widest(), sizes.groups);
        let [first, attention, last] = names.middle;
        let block = |name: &str| ResidualBlock::new(&params.at(name), [width, width], groups, names.shortcut);
        let attend = || SpatialAttention::new(&params.at(attention), width, groups, &names.attention);
        Ok(Self {
            first: block(first)?,
            attention: sizes.middle_attention.then(attend).transpose()?,
            last: block(last)?,
        })
    }

    /// `[b, widest, h, w]`, the same shape; reports `mid_attn` and `mid_block`.
    pub(super) fn forward(&self, x: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        let mut x = self.first.forward(x);
        if let Some(attention) = &self.attention {
            x = attention.forward(x);
            trace.see("mid_attn", || x.clone());
        }
        let x = self.last.forward(x);
        trace.see("mid_block", || x.clone());
        x
    }
}
