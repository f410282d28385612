//! 3x3 convolution: checks and dispatch. A CPU kernel; a GPU takes burn's convolution, which is tuned there.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::{FloatTensorOps as _, ModuleOps as _};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions, PadMode};
use burn::tensor::{DType, Shape, Tensor, module};

use crate::active::{Kernel, runs};
use crate::cpu::conv_weight_gradient::WeightGradientGeometry;
use crate::cpu::conv3x3::Conv3x3Geometry;
use crate::{cpu, flex};

/// What a convolution does to the picture's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conv3x3Scale {
    /// One pixel of padding all around.
    Kept,
    /// [`Conv3x3Scale::Kept`] of the picture enlarged by two.
    Doubled,
    /// Stride 2, one pixel of padding to the right and at the bottom.
    Halved,
}

/// Backend side of [`conv3x3`], [`conv3x3_doubled`] and [`conv3x3_halved`].
#[backend_extension(Flex, Autodiff)]
pub trait Conv3x3Ops: Backend {
    /// `x [b, i, h, w] * weight [o, i, 3, 3]`.
    fn conv3x3(x: FloatTensor<Self>, weight: FloatTensor<Self>, scale: Conv3x3Scale) -> FloatTensor<Self>;

    /// [`conv3x3`](Conv3x3Ops::conv3x3) plus `bias [o]`; not on an autodiff backend.
    fn conv3x3_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        scale: Conv3x3Scale,
    ) -> FloatTensor<Self>;

    /// Gradient of the weight, of `x` and the result's gradient; not on an autodiff backend.
    fn conv3x3_weight_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        scale: Conv3x3Scale,
    ) -> FloatTensor<Self>;

    /// `gradient [b, o, h / 2, w / 2]` at the odd rows and columns of `[h, w]`, zeros between; not on an autodiff backend.
    fn conv3x3_dilated(gradient: FloatTensor<Self>, height: usize, width: usize) -> FloatTensor<Self>;
}

fn options() -> ConvOptions<2> {
    ConvOptions::new([1, 1], [1, 1], [1, 1], 1)
}

/// 3x3 convolution with stride 1 and one pixel of zero padding, which keeps the size.
///
/// - `x`: `[b, inputs, h, w]`, `weight`: `[outputs, inputs, 3, 3]`, `bias`: `[outputs]`
/// - returns `[b, outputs, h, w]`
///
/// On the CPU this is Winograd's F(4x4, 3x3), see [`cpu::conv3x3`]; it has a backward pass.
///
/// # Panics
/// If the shapes do not fit: a shape error, as in any tensor operation.
pub fn conv3x3(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    run(x, weight, bias, Conv3x3Scale::Kept)
}

/// [`conv3x3`] of the picture enlarged by two to the nearest pixel, which is never stored:
/// `[b, inputs, h, w] -> [b, outputs, 2h, 2w]`.
///
/// # Panics
/// If the shapes do not fit: a shape error, as in any tensor operation.
pub fn conv3x3_doubled(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    run(x, weight, bias, Conv3x3Scale::Doubled)
}

/// The convolution with stride 2 of the picture with a row of zeros at its bottom and a column to its right: an output
/// stands for its pixel and the two to the right of it, `[b, inputs, h, w] -> [b, outputs, h / 2, w / 2]` (rounded down).
///
/// # Panics
/// If the shapes do not fit: a shape error, as in any tensor operation.
pub fn conv3x3_halved(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    run(x, weight, bias, Conv3x3Scale::Halved)
}

/// [`conv3x3`] as burn's convolution.
pub fn conv3x3_reference(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    module::conv2d(x, weight, bias, options())
}

/// [`conv3x3_doubled`] as burn's interpolation and convolution.
pub fn conv3x3_doubled_reference(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let nearest = InterpolateOptions::new(InterpolateMode::Nearest);
    let doubled = module::interpolate(x, nearest.with_output_size([2 * height, 2 * width]));
    conv3x3_reference(doubled, weight, bias)
}

/// [`conv3x3_halved`] as burn's padding and convolution.
pub fn conv3x3_halved_reference(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    module::conv2d(x.pad((0, 1, 0, 1), 0.0), weight, bias, halving())
}

fn halving() -> ConvOptions<2> {
    ConvOptions::new([2, 2], [0, 0], [1, 1], 1)
}

fn run(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, scale: Conv3x3Scale) -> Tensor<4> {
    let [outputs, inputs, height, width] = weight.dims();
    assert!(
        [height, width] == [3, 3] && x.dims()[1] == inputs,
        "conv3x3: a weight {:?} does not fit an input {:?}",
        weight.dims(),
        x.dims()
    );
    assert!(
        bias.as_ref().is_none_or(|bias| bias.dims() == [outputs]),
        "conv3x3: a bias {:?} does not fit {outputs} outputs",
        bias.as_ref().map(Tensor::dims)
    );
    let device = x.device();
    let f32_only = [x.dtype(), weight.dtype()].iter().all(|&dtype| dtype == DType::F32)
        && bias.as_ref().is_none_or(|bias| bias.dtype() == DType::F32);
    if !f32_only || !runs(Kernel::Conv3x3, &device) {
        return match scale {
            Conv3x3Scale::Kept => conv3x3_reference(x, weight, bias),
            Conv3x3Scale::Doubled => conv3x3_doubled_reference(x, weight, bias),
            Conv3x3Scale::Halved => conv3x3_halved_reference(x, weight, bias),
        };
    }
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    match bias {
        None => Tensor::from_dispatch(Dispatch::conv3x3(x, weight, scale)),
        // The gradient of a bias is a sum, which an addition of its own has already.
        Some(bias) if device.is_autodiff() => {
            let y = Tensor::<4>::from_dispatch(Dispatch::conv3x3(x, weight, scale));
            y + bias.reshape([1, outputs, 1, 1])
        }
        Some(bias) => {
            let bias = bias.into_dispatch();
            Tensor::from_dispatch(Dispatch::conv3x3_biased(x, weight, bias, scale))
        }
    }
}

impl Conv3x3Ops for Flex {
    fn conv3x3(x: FloatTensor<Self>, weight: FloatTensor<Self>, scale: Conv3x3Scale) -> FloatTensor<Self> {
        on_cpu(x, weight, None, scale)
    }

    fn conv3x3_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        scale: Conv3x3Scale,
    ) -> FloatTensor<Self> {
        on_cpu(x, weight, Some(bias), scale)
    }

    fn conv3x3_weight_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        scale: Conv3x3Scale,
    ) -> FloatTensor<Self> {
        let (x, gradient) = (flex::contiguous(x), flex::contiguous(gradient));
        let (from, to) = (x.shape(), gradient.shape());
        let halved = scale == Conv3x3Scale::Halved;
        let geometry = WeightGradientGeometry {
            batch: from[0],
            inputs: from[1],
            outputs: to[1],
            size: [from[2], from[3]],
            output_size: [to[2], to[3]],
            kernel: [3, 3],
            stride: if halved { 2 } else { 1 },
            padding: if halved { 0 } else { 1 },
            doubled: scale == Conv3x3Scale::Doubled,
        };
        let sum = cpu::conv_weight_gradient::conv_weight_gradient(flex::values(&x), flex::values(&gradient), &geometry);
        flex::tensor(sum, Shape::new([to[1], from[1], 3, 3]), DType::F32)
    }

    fn conv3x3_dilated(gradient: FloatTensor<Self>, height: usize, width: usize) -> FloatTensor<Self> {
        let gradient = flex::contiguous(gradient);
        let shape = gradient.shape();
        let mut wide = vec![0.0; shape[0] * shape[1] * height * width];
        let planes = wide.chunks_exact_mut((height * width).max(1));
        let odd_rows = planes.flat_map(|plane| plane.chunks_exact_mut(width).skip(1).step_by(2));
        for (from, to) in flex::values(&gradient).chunks_exact(shape[3].max(1)).zip(odd_rows) {
            to.iter_mut().skip(1).step_by(2).zip(from).for_each(|(to, from)| *to = *from);
        }
        flex::tensor(wide, Shape::new([shape[0], shape[1], height, width]), DType::F32)
    }
}

fn on_cpu(
    x: FloatTensor<Flex>,
    weight: FloatTensor<Flex>,
    bias: Option<FloatTensor<Flex>>,
    scale: Conv3x3Scale,
) -> FloatTensor<Flex> {
    if scale == Conv3x3Scale::Halved {
        let x = Flex::float_pad(x, &[(0, 0), (0, 0), (0, 1), (0, 1)], PadMode::Constant(0.0));
        return Flex::conv2d(x, weight, bias, halving());
    }
    let (x, weight, bias) = (flex::contiguous(x), flex::contiguous(weight), bias.map(flex::contiguous));
    let (shape, kernel) = (x.shape(), weight.shape());
    let geometry = Conv3x3Geometry {
        batch: shape[0],
        inputs: shape[1],
        outputs: kernel[0],
        size: [shape[2], shape[3]],
        doubled: scale == Conv3x3Scale::Doubled,
    };
    let bias = bias.as_ref().map(flex::values);
    let y = cpu::conv3x3::conv3x3(flex::values(&x), flex::values(&weight), bias, &geometry);
    let [height, width] = geometry.output_size();
    flex::tensor(y, Shape::new([shape[0], kernel[0], height, width]), DType::F32)
}

impl<B: Conv3x3Ops, C: CheckpointStrategy> Conv3x3Ops for Autodiff<B, C> {
    fn conv3x3(x: FloatTensor<Self>, weight: FloatTensor<Self>, scale: Conv3x3Scale) -> FloatTensor<Self> {
        let prepared = Conv3x3.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful();
        match prepared {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&weight), scale);
                let y = B::conv3x3(x.into_primitive(), weight.into_primitive(), scale);
                prep.finish(state, y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::conv3x3(x.into_primitive(), weight.into_primitive(), scale)),
        }
    }

    fn conv3x3_biased(
        _x: FloatTensor<Self>,
        _weight: FloatTensor<Self>,
        _bias: FloatTensor<Self>,
        _scale: Conv3x3Scale,
    ) -> FloatTensor<Self> {
        unreachable!("on an autodiff device the bias is added outside")
    }

    fn conv3x3_weight_gradient(
        _x: FloatTensor<Self>,
        _gradient: FloatTensor<Self>,
        _scale: Conv3x3Scale,
    ) -> FloatTensor<Self> {
        unreachable!("gradients have no gradients")
    }

    fn conv3x3_dilated(_gradient: FloatTensor<Self>, _height: usize, _width: usize) -> FloatTensor<Self> {
        unreachable!("gradients have no gradients")
    }
}

#[derive(Debug)]
struct Conv3x3;

impl<B: Conv3x3Ops> Backward<B, 2> for Conv3x3 {
    type State = (NodeId, NodeId, Conv3x3Scale);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let (x, weight, scale) = ops.state;
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(x);
        let weight = checkpointer.retrieve_node_output::<FloatTensor<B>>(weight);
        let grad = grads.consume::<B>(&ops.node);
        let [x_node, weight_node] = ops.parents;
        if let Some(node) = x_node {
            // The kernel that carries gradients back is the kernel upside down, inputs and outputs exchanged.
            let turned = B::float_swap_dims(B::float_flip(weight.clone(), &[2, 3]), 0, 1);
            let grad = match scale {
                Conv3x3Scale::Halved => B::conv3x3_dilated(grad.clone(), x.shape()[2], x.shape()[3]),
                Conv3x3Scale::Kept | Conv3x3Scale::Doubled => grad.clone(),
            };
            let wide = B::conv3x3(grad, turned, Conv3x3Scale::Kept);
            grads.register::<B>(node.id, if scale == Conv3x3Scale::Doubled { halve::<B>(wide) } else { wide });
        }
        if let Some(node) = weight_node {
            grads.register::<B>(node.id, B::conv3x3_weight_gradient(x, grad, scale));
        }
    }
}

/// The gradient of an enlargement by two: the sum of every two by two pixels.
fn halve<B: Backend>(grad: FloatTensor<B>) -> FloatTensor<B> {
    let mean = B::avg_pool2d(grad, [2, 2], [2, 2], [0, 0], true, false);
    B::float_mul_scalar(mean, 4.0.into())
}
