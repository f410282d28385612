//! Inception-v3 as FID has it, for who has its weights.
//!
//! Sources: Szegedy et al. 2015, "Rethinking the Inception Architecture for Computer Vision"; Heusel et al. 2017, "GANs
//! Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium"; tensor names of the Python packages
//! `pytorch-fid` and `torch-fidelity`, whose file is a conversion of the network that FID was defined on. It differs
//! from torchvision's: average pools leave the border out, and the last block takes the largest value instead.

use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, module};

use super::conv::{ConvRelu, Shape, derived};
use super::{Resampling, resize};
use crate::Init;
use crate::checkpoint::{CheckpointError, TensorEntry, Weights, load_strict};
use crate::params::{ParamResult, ParamSource, Params, entries};

/// Side of the pictures the network was trained on.
const SIDE: usize = 299;
/// Added to a variance before its root.
const EPSILON: f32 = 1e-3;

/// The network up to pool3, frozen.
#[derive(Debug, Clone)]
pub struct Inception {
    /// Convolutions before the blocks; a pool follows the third and the last.
    stem: Vec<ConvRelu>,
    blocks: Vec<Mixed>,
}

/// Branches side by side.
#[derive(Debug, Clone)]
struct Mixed(Vec<Branch>);

#[derive(Debug, Clone)]
struct Branch {
    pool: Option<Pool>,
    convs: Vec<ConvRelu>,
    /// Two more convolutions side by side.
    split: Option<[ConvRelu; 2]>,
}

#[derive(Debug, Clone, Copy)]
enum Pool {
    /// Mean of the 3x3 pixels around, those beyond the border not counted.
    Mean,
    /// Largest of the 3x3 pixels around.
    Largest,
    /// Largest of 3x3 pixels, stride 2.
    Halve,
}

impl Pool {
    fn run(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Mean => {
                let window = AvgPoolOptions::new([3, 3]).with_stride([1, 1]).with_padding([1, 1]);
                module::avg_pool2d(x, window.with_count_include_pad(false))
            }
            Self::Largest => {
                module::max_pool2d(x, MaxPoolOptions::new([3, 3]).with_stride([1, 1]).with_padding([1, 1]))
            }
            Self::Halve => module::max_pool2d(x, MaxPoolOptions::new([3, 3]).with_stride([2, 2])),
        }
    }
}

impl Branch {
    fn run(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.pool.map_or_else(|| x.clone(), |pool| pool.run(x.clone()));
        let x = self.convs.iter().fold(x, |x, conv| conv.forward(x));
        match &self.split {
            Some([a, b]) => Tensor::cat(vec![a.forward(x.clone()), b.forward(x)], 1),
            None => x,
        }
    }
}

impl Inception {
    /// Length of [`Inception::features`].
    pub const FEATURES: usize = 2048;

    /// Makes the network of a released file, PyTorch or safetensors. The classifier (`fc`), the auxiliary classifier
    /// (`AuxLogits`) and the counters of batch normalisation (`num_batches_tracked`) are left aside; batch normalisation
    /// is folded into the convolutions.
    ///
    /// # Errors
    /// [`CheckpointError`] if another tensor is surplus, or one is missing, misshapen or unreadable.
    pub fn load(weights: &Weights, device: &Device) -> Result<Self, CheckpointError> {
        let device = device.clone().without_autodiff();
        let surplus = surplus()?;
        let surplus: Vec<&str> = surplus.iter().map(String::as_str).collect();
        load_strict(weights, &surplus, &device, Self::new).map(|(net, ..)| net)
    }

    /// Names and shapes of the tensors that [`Inception::load`] needs.
    ///
    /// # Errors
    /// None: nothing is read.
    pub fn tensors() -> Result<Vec<TensorEntry>, CheckpointError> {
        let listing = ParamSource::listing();
        Self::new(&listing.root())?;
        Ok(entries(&listing.into_taken()))
    }

    /// Features of pool3: `[batch, 3, height, width]` in 0..=1, of any size, to `[batch, 2048]`. Pictures are brought to
    /// 299x299 first, bilinearly and without antialiasing, as `pytorch-fid` does it.
    ///
    /// # Panics
    /// If there are no three channels: a shape error, as in any tensor operation.
    pub fn features(&self, rgb: Tensor<4>) -> Tensor<2> {
        let mut x = resize(rgb, [SIDE, SIDE], Resampling::Bilinear) * 2.0 - 1.0;
        for (index, conv) in self.stem.iter().enumerate() {
            x = conv.forward(x);
            if index == 2 || index + 1 == self.stem.len() {
                x = Pool::Halve.run(x);
            }
        }
        for Mixed(branches) in &self.blocks {
            x = Tensor::cat(branches.iter().map(|branch| branch.run(x.clone())).collect(), 1);
        }
        let [batch, channels, height, width] = x.dims();
        x.reshape([batch, channels, height * width]).mean_dim(2).squeeze_dim(2)
    }

    fn new(params: &Params) -> ParamResult<Self> {
        let stem = vec![
            conv(params, "Conv2d_1a_3x3", Shape::square(3, 32, 3).stride(2))?,
            conv(params, "Conv2d_2a_3x3", Shape::square(32, 32, 3))?,
            conv(params, "Conv2d_2b_3x3", Shape::square(32, 64, 3).padding(1))?,
            conv(params, "Conv2d_3b_1x1", Shape::square(64, 80, 1))?,
            conv(params, "Conv2d_4a_3x3", Shape::square(80, 192, 3))?,
        ];
        let at = |name: &str| params.at(name);
        let blocks = vec![
            fine(&at("Mixed_5b"), 192, 32)?,
            fine(&at("Mixed_5c"), 256, 64)?,
            fine(&at("Mixed_5d"), 288, 64)?,
            halved_fine(&at("Mixed_6a"))?,
            long(&at("Mixed_6b"), 128)?,
            long(&at("Mixed_6c"), 160)?,
            long(&at("Mixed_6d"), 160)?,
            long(&at("Mixed_6e"), 192)?,
            halved_long(&at("Mixed_7a"))?,
            wide(&at("Mixed_7b"), 1280, Pool::Mean)?,
            wide(&at("Mixed_7c"), 2048, Pool::Largest)?,
        ];
        Ok(Self { stem, blocks })
    }
}

/// Tensors of the released files that pool3 does not need.
fn surplus() -> ParamResult<Vec<String>> {
    let listing = ParamSource::listing();
    Inception::new(&listing.root())?;
    // The auxiliary classifier of torchvision's file has two such convolutions.
    conv(&listing.root(), "AuxLogits.conv0", Shape::square(768, 128, 1))?;
    conv(&listing.root(), "AuxLogits.conv1", Shape::square(128, 768, 5))?;
    let mut names: Vec<String> =
        ["fc.weight", "fc.bias", "AuxLogits.fc.weight", "AuxLogits.fc.bias"].map(str::to_owned).to_vec();
    for spec in listing.into_taken() {
        if let Some(prefix) = spec.name.strip_suffix(".bn.weight") {
            names.push(format!("{prefix}.bn.num_batches_tracked"));
        }
        if spec.name.starts_with("AuxLogits.") {
            names.push(spec.name);
        }
    }
    Ok(names)
}

/// A convolution without bias and its batch normalisation, made one.
fn conv(params: &Params, name: &str, shape: Shape) -> ParamResult<ConvRelu> {
    let params = params.at(name);
    let outputs = shape.outputs;
    let kernel = params.tensor("conv.weight", shape.weight(), Init::Normal(0.02))?;
    let vector = |name: &str, init| params.tensor(name, [outputs], init);
    let (weight, bias) = (vector("bn.weight", Init::Ones)?, vector("bn.bias", Init::Zeros)?);
    let (mean, variance) = (vector("bn.running_mean", Init::Zeros)?, vector("bn.running_var", Init::Ones)?);
    let factor = derived(&params, || weight.val() / (variance.val() + EPSILON).sqrt());
    let kernel = derived(&params, || kernel.val() * factor.clone().reshape([outputs, 1, 1, 1]));
    let bias = derived(&params, || bias.val() - mean.val() * factor);
    Ok(ConvRelu::of(kernel, bias, shape))
}

/// A branch of convolutions one behind the other.
fn chain(params: &Params, pool: Option<Pool>, convs: &[(&str, Shape)]) -> ParamResult<Branch> {
    let convs = convs.iter().map(|&(name, shape)| conv(params, name, shape)).collect::<ParamResult<_>>()?;
    Ok(Branch { pool, convs, split: None })
}

/// A kernel 7 or 3 pixels long and one wide, as padded as keeps the size.
fn row(inputs: usize, outputs: usize, length: usize) -> Shape {
    Shape { inputs, outputs, kernel: [1, length], stride: 1, padding: [0, length / 2] }
}

/// [`row`] upright.
fn column(inputs: usize, outputs: usize, length: usize) -> Shape {
    Shape { inputs, outputs, kernel: [length, 1], stride: 1, padding: [length / 2, 0] }
}

fn point(inputs: usize, outputs: usize) -> Shape {
    Shape::square(inputs, outputs, 1)
}

fn three(inputs: usize, outputs: usize) -> Shape {
    Shape::square(inputs, outputs, 3).padding(1)
}

/// 35x35 pixels (figure 5 of the paper): `inputs` to `224 + pooled` channels.
fn fine(params: &Params, inputs: usize, pooled: usize) -> ParamResult<Mixed> {
    let five = Shape::square(48, 64, 5).padding(2);
    Ok(Mixed(vec![
        chain(params, None, &[("branch1x1", point(inputs, 64))])?,
        chain(params, None, &[("branch5x5_1", point(inputs, 48)), ("branch5x5_2", five)])?,
        chain(
            params,
            None,
            &[
                ("branch3x3dbl_1", point(inputs, 64)),
                ("branch3x3dbl_2", three(64, 96)),
                ("branch3x3dbl_3", three(96, 96)),
            ],
        )?,
        chain(params, Some(Pool::Mean), &[("branch_pool", point(inputs, pooled))])?,
    ]))
}

/// 35x35 pixels and 288 channels to 17x17 and 768.
fn halved_fine(params: &Params) -> ParamResult<Mixed> {
    Ok(Mixed(vec![
        chain(params, None, &[("branch3x3", Shape::square(288, 384, 3).stride(2))])?,
        chain(
            params,
            None,
            &[
                ("branch3x3dbl_1", point(288, 64)),
                ("branch3x3dbl_2", three(64, 96)),
                ("branch3x3dbl_3", Shape::square(96, 96, 3).stride(2)),
            ],
        )?,
        chain(params, Some(Pool::Halve), &[])?,
    ]))
}

/// 17x17 pixels, 768 channels (figure 6): kernels of seven pixels as a row and a column.
fn long(params: &Params, inner: usize) -> ParamResult<Mixed> {
    Ok(Mixed(vec![
        chain(params, None, &[("branch1x1", point(768, 192))])?,
        chain(
            params,
            None,
            &[
                ("branch7x7_1", point(768, inner)),
                ("branch7x7_2", row(inner, inner, 7)),
                ("branch7x7_3", column(inner, 192, 7)),
            ],
        )?,
        chain(
            params,
            None,
            &[
                ("branch7x7dbl_1", point(768, inner)),
                ("branch7x7dbl_2", column(inner, inner, 7)),
                ("branch7x7dbl_3", row(inner, inner, 7)),
                ("branch7x7dbl_4", column(inner, inner, 7)),
                ("branch7x7dbl_5", row(inner, 192, 7)),
            ],
        )?,
        chain(params, Some(Pool::Mean), &[("branch_pool", point(768, 192))])?,
    ]))
}

/// 17x17 pixels and 768 channels to 8x8 and 1280.
fn halved_long(params: &Params) -> ParamResult<Mixed> {
    Ok(Mixed(vec![
        chain(
            params,
            None,
            &[("branch3x3_1", point(768, 192)), ("branch3x3_2", Shape::square(192, 320, 3).stride(2))],
        )?,
        chain(
            params,
            None,
            &[
                ("branch7x7x3_1", point(768, 192)),
                ("branch7x7x3_2", row(192, 192, 7)),
                ("branch7x7x3_3", column(192, 192, 7)),
                ("branch7x7x3_4", Shape::square(192, 192, 3).stride(2)),
            ],
        )?,
        chain(params, Some(Pool::Halve), &[])?,
    ]))
}

/// 8x8 pixels to 2048 channels (figure 7).
fn wide(params: &Params, inputs: usize, pool: Pool) -> ParamResult<Mixed> {
    let split = |names: [&str; 2]| {
        let [across, down] = names;
        Ok::<_, CheckpointError>(Some([
            conv(params, across, row(384, 384, 3))?,
            conv(params, down, column(384, 384, 3))?,
        ]))
    };
    let mut middle = chain(params, None, &[("branch3x3_1", point(inputs, 384))])?;
    middle.split = split(["branch3x3_2a", "branch3x3_2b"])?;
    let doubled = [("branch3x3dbl_1", point(inputs, 448)), ("branch3x3dbl_2", three(448, 384))];
    let mut doubled = chain(params, None, &doubled)?;
    doubled.split = split(["branch3x3dbl_3a", "branch3x3dbl_3b"])?;
    Ok(Mixed(vec![
        chain(params, None, &[("branch1x1", point(inputs, 320))])?,
        middle,
        doubled,
        chain(params, Some(pool), &[("branch_pool", point(inputs, 192))])?,
    ]))
}
