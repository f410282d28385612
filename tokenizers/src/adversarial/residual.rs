//! The discriminator that DualToken learns with.

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use tessera_layers::resample::{Resampling, resize};
use tessera_layers::{Conv2d, GroupNorm, Init, ParamResult, Params};

use super::check_width;
use super::strided::Strided;
use crate::LoadError;

const SLOPE: f64 = 0.2;
const GROUPS: usize = 32;
const EPSILON: f64 = 1e-6;

/// A first convolution that halves, three residual blocks of which two halve, and a map of logits.
///
/// A block is a group normalisation, a leaky ReLU and a 3x3 convolution, beside it the picture resized bilinearly through a 1x1
/// convolution. Names: `first`, `blocks.<i>.{norm,conv,shortcut}`, `head`. Source: DualToken's training script, whose released width is 64.
#[derive(Module, Debug)]
pub struct ResidualDiscriminator {
    first: Strided,
    blocks: Vec<Block>,
    head: Conv2d,
}

#[derive(Module, Debug)]
struct Block {
    norm: GroupNorm,
    conv: Strided,
    shortcut: Conv2d,
}

impl ResidualDiscriminator {
    /// Takes every tensor; `width` channels behind the first layer, eight times as many at the end.
    ///
    /// # Errors
    /// [`ConfigError`](crate::ConfigError) if the width is no multiple of 32, or a checkpoint error.
    pub fn new(params: &Params, width: usize) -> Result<Self, LoadError> {
        check_width(width, GROUPS)?;
        let block = |index: usize| -> ParamResult<Block> {
            let (at, inputs, outputs) = (params.at("blocks").at(index), width << index, width << (index + 1));
            Ok(Block {
                norm: GroupNorm::new(&at.at("norm"), inputs, GROUPS, EPSILON)?,
                conv: convolution(&at.at("conv"), [inputs, outputs], if index < 2 { 2 } else { 1 })?,
                shortcut: Conv2d::uniform(&at.at("shortcut"), [inputs, outputs], 1)?,
            })
        };
        Ok(Self {
            first: convolution(&params.at("first"), [3, width], 2)?,
            blocks: (0..3).map(block).collect::<ParamResult<_>>()?,
            head: Conv2d::uniform(&params.at("head"), [width << 3, 1], 3)?,
        })
    }

    /// Pictures `[batch, 3, H, W]` to logits `[batch, 1, H / 8, W / 8]`, rounded up; positive means real.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let leaky = |x: Tensor<4>| activation::leaky_relu(x, SLOPE);
        let mut x = leaky(self.first.forward(images));
        for block in &self.blocks {
            let y = block.conv.forward(leaky(block.norm.forward(x.clone())));
            let [_, _, height, width] = y.dims();
            x = y + block.shortcut.forward(resize(x, [height, width], Resampling::Bilinear));
        }
        self.head.forward(x)
    }
}

/// The start of every convolution that may skip places here.
fn convolution(params: &Params, sizes: [usize; 2], stride: usize) -> ParamResult<Strided> {
    let [inputs, _] = sizes;
    Strided::new(params, sizes, [3, stride], true, Init::uniform_fan_in(inputs * 9))
}
