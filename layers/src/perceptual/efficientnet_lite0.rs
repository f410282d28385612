//! EfficientNet-Lite0, a small classifier of ImageNet whose features make a perceptual distance.
//!
//! Source: Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", in the Lite form
//! that Google released: ReLU6, no squeeze-and-excite. Batch normalisation is folded into the convolutions.

use burn::tensor::{Device, Tensor};
use tessera_shaders::{InvertedResidualGeometry, inverted_residual};

use super::conv::{beside, derived, frozen};
use super::stem::Stem;
use crate::Init;
use crate::checkpoint::{CheckpointError, Weights, load_strict};
use crate::params::{ParamResult, Params};

/// Kernel, stride, expanded channels and outputs of each block; the first expands nothing.
const BLOCKS: [[usize; 4]; EfficientNetLite0::BLOCKS] = [
    [3, 1, 32, 16],
    [3, 2, 96, 24],
    [3, 1, 144, 24],
    [5, 2, 144, 40],
    [5, 1, 240, 40],
    [3, 2, 240, 80],
    [3, 1, 480, 80],
    [3, 1, 480, 80],
    [5, 1, 480, 112],
    [5, 1, 672, 112],
    [5, 1, 672, 112],
    [5, 2, 672, 192],
    [5, 1, 1152, 192],
    [5, 1, 1152, 192],
    [5, 1, 1152, 192],
    [3, 1, 1152, 320],
];
/// Channels between the picture and the first block.
const STEM: usize = 32;
/// Channels behind the last block.
const HEAD: usize = 1280;
/// Where ReLU6 ends.
const CEILING: f32 = 6.0;
/// Classes of ImageNet.
const CLASSES: usize = 1000;

/// The network, frozen. Pictures of any size, RGB in 0..=1.
///
/// ```no_run
/// use burn::tensor::{Device, Tensor};
/// use tessera_layers::{checkpoint::Weights, perceptual::EfficientNetLite0};
///
/// let device = Device::flex();
/// let net = EfficientNetLite0::load(&Weights::open("model.safetensors".as_ref())?, &device)?;
/// let pictures = Tensor::<4>::zeros([2, 3, 64, 64], &device);
/// let maps = net.features(pictures, &[0, 4]); // [2, 16, 32, 32] and [2, 40, 8, 8]
/// # Ok::<(), tessera_layers::checkpoint::CheckpointError>(())
/// ```
#[derive(Debug, Clone)]
pub struct EfficientNetLite0 {
    stem: Stem,
    blocks: Vec<(InvertedResidualGeometry, Tensor<1>)>,
    head: Affine<2>,
    classifier: Affine<2>,
}

/// A weight and its bias.
#[derive(Debug, Clone)]
struct Affine<const D: usize> {
    weight: Tensor<D>,
    bias: Tensor<1>,
}

impl<const D: usize> Affine<D> {
    /// Takes `weight` of this shape, outputs first, and `bias`.
    fn new(params: &Params, shape: [usize; D]) -> ParamResult<Self> {
        let outputs = shape.first().copied().unwrap_or(0);
        let weight = params.tensor("weight", shape, Init::Normal(0.02))?;
        let bias = params.tensor("bias", [outputs], Init::Zeros)?;
        Ok(Self { weight: frozen(params, weight), bias: frozen(params, bias) })
    }
}

impl EfficientNetLite0 {
    /// Number of blocks, whose outputs [`EfficientNetLite0::features`] gives.
    pub const BLOCKS: usize = 16;
    /// Length of [`EfficientNetLite0::pooled`].
    pub const POOLED: usize = HEAD;

    /// Makes the network of exactly its tensors: `stem`, `blocks.I.{expand,depthwise,project}`, `head` and `classifier`,
    /// each with `.weight` and `.bias`.
    ///
    /// # Errors
    /// [`CheckpointError`] if a tensor is missing, surplus, misshapen or unreadable.
    pub fn load(weights: &Weights, device: &Device) -> Result<Self, CheckpointError> {
        let device = device.clone().without_autodiff();
        load_strict(weights, &[], &device, Self::new).map(|(net, ..)| net)
    }

    fn new(params: &Params) -> ParamResult<Self> {
        let stem = Stem::new(&params.at("stem"), STEM)?;
        let mut blocks = Vec::new();
        let mut inputs = STEM;
        for (index, [kernel, stride, expanded, outputs]) in BLOCKS.into_iter().enumerate() {
            let expands = index > 0;
            let geometry = InvertedResidualGeometry { inputs, expanded, outputs, kernel, stride, expands };
            blocks.push((geometry, block(&params.at(format!("blocks.{index}")), &geometry)?));
            inputs = outputs;
        }
        let Affine { weight, bias } = Affine::new(&params.at("head"), [HEAD, inputs, 1, 1])?;
        let head = Affine { weight: derived(params, || weight.reshape([HEAD, inputs])), bias };
        let classifier = Affine::new(&params.at("classifier"), [CLASSES, HEAD])?;
        Ok(Self { stem, blocks, head, classifier })
    }

    /// Outputs of the blocks that `taps` names, in its order; nothing behind the last of them is computed.
    ///
    /// - `rgb`: `[batch, 3, height, width]` in 0..=1
    /// - returns `[batch, channels, height / s, width / s]`, rounded up; channels and s of blocks 0, 2, 4, 10 and 15 are
    ///   16 (s = 2), 24 (4), 40 (8), 112 (16) and 320 (32)
    ///
    /// # Panics
    /// If there is no such block, or no three channels: a shape error, as in any tensor operation.
    pub fn features(&self, rgb: Tensor<4>, taps: &[usize]) -> Vec<Tensor<4>> {
        let Some(last) = taps.iter().copied().max() else { return Vec::new() };
        assert!(last < self.blocks.len(), "features: {taps:?} names no block of {}", self.blocks.len());
        let mut outputs: Vec<Option<Tensor<4>>> = Vec::new();
        let mut x = self.stem.forward(rgb);
        for (index, block) in self.blocks.iter().take(last + 1).enumerate() {
            x = run(block, x);
            outputs.push(taps.contains(&index).then(|| x.clone()));
        }
        taps.iter().filter_map(|&tap| outputs.get(tap).cloned().flatten()).collect()
    }

    /// The output of block `last` as [`EfficientNetLite0::features`] gives it; of the last block where there is no such one.
    ///
    /// # Panics
    /// If there are no three channels: a shape error, as in any tensor operation.
    pub fn up_to(&self, rgb: Tensor<4>, last: usize) -> Tensor<4> {
        self.blocks.iter().take(last.saturating_add(1)).fold(self.stem.forward(rgb), |x, block| run(block, x))
    }

    /// The last features: `[batch, 3, height, width] -> [batch, 1280, height / 32, width / 32]`, rounded up.
    ///
    /// # Panics
    /// If there are no three channels: a shape error, as in any tensor operation.
    pub fn last(&self, rgb: Tensor<4>) -> Tensor<4> {
        let x = self.up_to(rgb, Self::BLOCKS);
        let [batch, channels, height, width] = x.dims();
        let (weight, bias) = (beside(&self.head.weight, &x), beside(&self.head.bias, &x));
        let y = weight.unsqueeze::<3>().matmul(x.reshape([batch, channels, height * width]));
        (y + bias.reshape([1, HEAD, 1])).clamp(0.0, CEILING).reshape([batch, HEAD, height, width])
    }

    /// The mean of the last features over the picture: `[batch, 3, height, width] -> [batch, 1280]`.
    ///
    /// # Panics
    /// If there are no three channels: a shape error, as in any tensor operation.
    pub fn pooled(&self, rgb: Tensor<4>) -> Tensor<2> {
        let x = self.last(rgb);
        let [batch, channels, height, width] = x.dims();
        x.reshape([batch, channels, height * width]).mean_dim(2).squeeze_dim(2)
    }

    /// Logits of the 1000 classes of ImageNet: `[batch, 3, height, width] -> [batch, 1000]`.
    ///
    /// # Panics
    /// If there are no three channels: a shape error, as in any tensor operation.
    pub fn logits(&self, rgb: Tensor<4>) -> Tensor<2> {
        let pooled = self.pooled(rgb);
        let (weight, bias) = (beside(&self.classifier.weight, &pooled), beside(&self.classifier.bias, &pooled));
        pooled.matmul(weight.transpose()) + bias.unsqueeze::<2>()
    }
}

/// The parameters of a block side by side, as [`inverted_residual`] wants them.
fn block(params: &Params, geometry: &InvertedResidualGeometry) -> ParamResult<Tensor<1>> {
    let InvertedResidualGeometry { inputs, expanded, outputs, kernel, expands, .. } = *geometry;
    let expand = ("expand", [expanded, inputs, 1, 1]);
    let others = [("depthwise", [expanded, 1, kernel, kernel]), ("project", [outputs, expanded, 1, 1])];
    let mut parts = Vec::new();
    for (name, shape) in expands.then_some(expand).into_iter().chain(others) {
        let Affine { weight, bias } = Affine::new(&params.at(name), shape)?;
        parts.push(derived(params, || weight.flatten(0, 3)));
        parts.push(bias);
    }
    Ok(derived(params, || Tensor::cat(parts, 0)))
}

fn run((geometry, parameters): &(InvertedResidualGeometry, Tensor<1>), x: Tensor<4>) -> Tensor<4> {
    let parameters = beside(parameters, &x);
    inverted_residual(x, parameters, *geometry)
}
