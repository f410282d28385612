//! The patch discriminator of TiTok's and One-D-Piece's second stage.

use burn::module::{Module, Param};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData, activation, module};
use serde::{Deserialize, Serialize};
use tessera_layers::{Conv2d, GroupNorm, Init, ParamResult, Params};

use super::check_width;
use crate::config::ConfigError;

/// Sizes of the discriminator; the default is the released recipe's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiscriminatorConfig {
    /// Colour channels.
    pub num_channels: usize,
    /// Base width.
    pub hidden_channels: usize,
    /// Halving stages, 1 to 8; stage `i` has `hidden_channels * 2^i` channels.
    pub num_stages: usize,
    /// Blur before halving (the only mode of the recipe).
    pub blur_resample: bool,
    /// Side of the blur kernel, 3, 4 or 5.
    pub blur_kernel_size: usize,
}

impl Default for DiscriminatorConfig {
    fn default() -> Self {
        Self { num_channels: 3, hidden_channels: 128, num_stages: 3, blur_resample: true, blur_kernel_size: 4 }
    }
}

const GROUPS: usize = 32;
const EPSILON: f64 = 1e-5;
const SLOPE: f64 = 0.1;
/// Side of the map of logits, whatever the picture's size.
const LOGIT_GRID: usize = 16;

impl DiscriminatorConfig {
    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_width(self.hidden_channels, GROUPS)?;
        if !(1..=8).contains(&self.num_stages) {
            let found = self.num_stages.to_string();
            return Err(ConfigError::invalid("num_stages", "a number from 1 to 8", found));
        }
        if self.blur_taps().is_none() {
            let found = self.blur_kernel_size.to_string();
            return Err(ConfigError::invalid("blur_kernel_size", "3, 4 or 5", found));
        }
        if !self.blur_resample {
            return Err(ConfigError::Unsupported(
                "a discriminator with blur_resample false is not built; use blur_resample true".to_owned(),
            ));
        }
        Ok(())
    }

    fn blur_taps(&self) -> Option<&'static [f32]> {
        match self.blur_kernel_size {
            3 => Some(&[1.0, 2.0, 1.0]),
            4 => Some(&[1.0, 3.0, 3.0, 1.0]),
            5 => Some(&[1.0, 4.0, 6.0, 4.0, 1.0]),
            _ => None,
        }
    }

    fn width(&self, stage: usize) -> usize {
        self.hidden_channels << stage
    }
}

/// 5x5 convolution, halving stages of convolution, blur, group norm and leaky ReLU, pooled to 16x16 logits.
///
/// Names: `block_in.0`, `blocks.<i>.0` (convolution), `.1.kernel` (the constant blur kernel), `.2` (group norm),
/// `to_logits.0`, `to_logits.2`.
#[derive(Module, Debug)]
pub struct Discriminator {
    block_in: Conv2d,
    blocks: Vec<Stage>,
    to_logits_0: Conv2d,
    to_logits_2: Conv2d,
}

#[derive(Module, Debug)]
struct Stage {
    conv: Conv2d,
    /// `[1, 1, taps, taps]`; a constant that checkpoints carry along.
    kernel: Param<Tensor<4>>,
    norm: GroupNorm,
}

impl Discriminator {
    /// Takes every tensor of the discriminator.
    ///
    /// # Errors
    /// A [`ConfigError`] or a checkpoint error.
    pub fn new(params: &Params, config: &DiscriminatorConfig) -> Result<Self, crate::LoadError> {
        config.check()?;
        Ok(Self::build(params, config)?)
    }

    fn build(params: &Params, config: &DiscriminatorConfig) -> ParamResult<Self> {
        let taps = config.blur_taps().unwrap_or(&[1.0]);
        let stage = |i: usize| -> ParamResult<Stage> {
            let at = params.at("blocks").at(i);
            let inputs = if i == 0 { config.hidden_channels } else { config.width(i - 1) };
            let outputs = config.width(i);
            Ok(Stage {
                conv: Conv2d::new(&at.at(0), [inputs, outputs], 3, true)?,
                kernel: blur_kernel(&at.at(1), taps)?,
                norm: GroupNorm::new(&at.at(2), outputs, GROUPS, EPSILON)?,
            })
        };
        let last = config.width(config.num_stages - 1);
        Ok(Self {
            block_in: Conv2d::new(&params.at("block_in.0"), [config.num_channels, config.hidden_channels], 5, true)?,
            blocks: (0..config.num_stages).map(stage).collect::<ParamResult<_>>()?,
            to_logits_0: Conv2d::new(&params.at("to_logits.0"), [last, last], 1, true)?,
            to_logits_2: Conv2d::new(&params.at("to_logits.2"), [last, 1], 5, true)?,
        })
    }

    /// Picture `[batch, channels, H, W]` to logits `[batch, 1, 16, 16]`; positive means real.
    pub fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        let mut x = leaky(self.block_in.forward(image));
        for stage in &self.blocks {
            let blurred = blur_halve(stage.conv.forward(x), stage.kernel.val().detach());
            x = leaky(stage.norm.forward(blurred));
        }
        let x = adaptive_max_pool(x, LOGIT_GRID);
        self.to_logits_2.forward(leaky(self.to_logits_0.forward(x)))
    }
}

/// Takes `kernel` of the file, or makes the normalised outer product of `taps` for a new network.
fn blur_kernel(params: &Params, taps: &[f32]) -> ParamResult<Param<Tensor<4>>> {
    let side = taps.len();
    let taken = params.tensor("kernel", [1, 1, side, side], Init::Zeros)?;
    if !params.is_seeded() {
        return Ok(taken);
    }
    let sum: f32 = taps.iter().sum();
    let values = taps.iter().flat_map(|a| taps.iter().map(move |b| a * b / (sum * sum))).collect();
    let data = TensorData::new::<f32, _>(values, [1, 1, side, side]);
    let kernel = Tensor::from_data(data, params.device());
    Ok(Param::initialized(taken.id, kernel))
}

fn leaky(x: Tensor<4>) -> Tensor<4> {
    activation::leaky_relu(x, SLOPE)
}

/// Depthwise convolution with the blur kernel at stride 2, zero-padded as "same": the odd row and column of
/// padding go to the right and to the bottom.
fn blur_halve(x: Tensor<4>, kernel: Tensor<4>) -> Tensor<4> {
    let [_, channels, height, width] = x.dims();
    let [_, _, side, _] = kernel.dims();
    let [top, bottom] = same_padding(height, side);
    let [left, right] = same_padding(width, side);
    let padded = x.pad((left, right, top, bottom), 0.0);
    let weight = kernel.expand([channels, 1, side, side]);
    let options = ConvOptions::new([2, 2], [0, 0], [1, 1], channels);
    module::conv2d(padded, weight, None, options)
}

/// Padding before and after for stride 2, as TensorFlow's "same".
fn same_padding(size: usize, kernel: usize) -> [usize; 2] {
    let total = ((size.div_ceil(2) - 1) * 2 + kernel).saturating_sub(size);
    [total / 2, total - total / 2]
}

/// Largest value of each of `side` x `side` bins; bin `i` covers `floor(i * n / side) .. ceil((i + 1) * n / side)`,
/// so that bins overlap, or repeat where the map is smaller than the grid.
fn adaptive_max_pool(x: Tensor<4>, side: usize) -> Tensor<4> {
    let rows = pool_axis(x, 2, side);
    pool_axis(rows, 3, side)
}

fn pool_axis(x: Tensor<4>, axis: usize, side: usize) -> Tensor<4> {
    let size = x.dims()[axis];
    let bins = (0..side)
        .map(|i| {
            let (start, end) = (i * size / side, ((i + 1) * size).div_ceil(side));
            x.clone().narrow(axis, start, end - start).max_dim(axis)
        })
        .collect();
    Tensor::cat(bins, axis)
}
