//! 3x3 convolution: checks and dispatch. A CPU kernel; a GPU takes burn's convolution, which is tuned there.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{DType, Shape, Tensor, module};

use crate::active::{Kernel, runs};
use crate::cpu::conv3x3::Conv3x3Geometry;
use crate::{cpu, flex};

/// Backend side of [`conv3x3`] and [`conv3x3_doubled`].
#[backend_extension(Flex, Autodiff)]
pub trait Conv3x3Ops: Backend {
    /// `x [b, i, h, w] * weight [o, i, 3, 3]`, `x` enlarged by two first if `doubled`.
    fn conv3x3(x: FloatTensor<Self>, weight: FloatTensor<Self>, doubled: bool) -> FloatTensor<Self>;

    /// [`conv3x3`](Conv3x3Ops::conv3x3) plus `bias [o]`; not on an autodiff backend.
    fn conv3x3_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        doubled: bool,
    ) -> FloatTensor<Self>;
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
    run(x, weight, bias, false)
}

/// [`conv3x3`] of the picture enlarged by two to the nearest pixel, which is never stored:
/// `[b, inputs, h, w] -> [b, outputs, 2h, 2w]`.
///
/// # Panics
/// If the shapes do not fit: a shape error, as in any tensor operation.
pub fn conv3x3_doubled(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    run(x, weight, bias, true)
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

fn run(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, doubled: bool) -> Tensor<4> {
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
        return match doubled {
            true => conv3x3_doubled_reference(x, weight, bias),
            false => conv3x3_reference(x, weight, bias),
        };
    }
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    match bias {
        None => Tensor::from_dispatch(Dispatch::conv3x3(x, weight, doubled)),
        // The gradient of a bias is a sum, which an addition of its own has already.
        Some(bias) if device.is_autodiff() => {
            let y = Tensor::<4>::from_dispatch(Dispatch::conv3x3(x, weight, doubled));
            y + bias.reshape([1, outputs, 1, 1])
        }
        Some(bias) => {
            let bias = bias.into_dispatch();
            Tensor::from_dispatch(Dispatch::conv3x3_biased(x, weight, bias, doubled))
        }
    }
}

impl Conv3x3Ops for Flex {
    fn conv3x3(x: FloatTensor<Self>, weight: FloatTensor<Self>, doubled: bool) -> FloatTensor<Self> {
        on_cpu(x, weight, None, doubled)
    }

    fn conv3x3_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        doubled: bool,
    ) -> FloatTensor<Self> {
        on_cpu(x, weight, Some(bias), doubled)
    }
}

fn on_cpu(
    x: FloatTensor<Flex>,
    weight: FloatTensor<Flex>,
    bias: Option<FloatTensor<Flex>>,
    doubled: bool,
) -> FloatTensor<Flex> {
    let (x, weight, bias) = (flex::contiguous(x), flex::contiguous(weight), bias.map(flex::contiguous));
    let (shape, kernel) = (x.shape(), weight.shape());
    let geometry =
        Conv3x3Geometry { batch: shape[0], inputs: shape[1], outputs: kernel[0], size: [shape[2], shape[3]], doubled };
    let bias = bias.as_ref().map(flex::values);
    let y = cpu::conv3x3::conv3x3(flex::values(&x), flex::values(&weight), bias, &geometry);
    let [height, width] = geometry.output_size();
    flex::tensor(y, Shape::new([shape[0], kernel[0], height, width]), DType::F32)
}

impl<B: Conv3x3Ops, C: CheckpointStrategy> Conv3x3Ops for Autodiff<B, C> {
    fn conv3x3(x: FloatTensor<Self>, weight: FloatTensor<Self>, doubled: bool) -> FloatTensor<Self> {
        let prepared = Conv3x3.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful();
        match prepared {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&weight), doubled);
                let y = B::conv3x3(x.into_primitive(), weight.into_primitive(), doubled);
                prep.finish(state, y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::conv3x3(x.into_primitive(), weight.into_primitive(), doubled)),
        }
    }

    fn conv3x3_biased(
        _x: FloatTensor<Self>,
        _weight: FloatTensor<Self>,
        _bias: FloatTensor<Self>,
        _doubled: bool,
    ) -> FloatTensor<Self> {
        unreachable!("on an autodiff device the bias is added outside")
    }
}

#[derive(Debug)]
struct Conv3x3;

impl<B: Conv3x3Ops> Backward<B, 2> for Conv3x3 {
    type State = (NodeId, NodeId, bool);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let (x, weight, doubled) = ops.state;
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(x);
        let weight = checkpointer.retrieve_node_output::<FloatTensor<B>>(weight);
        let grad = grads.consume::<B>(&ops.node);
        let [x_node, weight_node] = ops.parents;
        if let Some(node) = x_node {
            // The kernel that carries gradients back is the kernel upside down, inputs and outputs exchanged.
            let turned = B::float_swap_dims(B::float_flip(weight.clone(), &[2, 3]), 0, 1);
            let wide = B::conv3x3(grad.clone(), turned, false);
            grads.register::<B>(node.id, if doubled { halve::<B>(wide) } else { wide });
        }
        if let Some(node) = weight_node {
            let x = if doubled { double::<B>(x) } else { x };
            grads.register::<B>(node.id, B::conv2d_weight_backward(x, weight, grad, options()));
        }
    }
}

fn double<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let shape = x.shape();
    let nearest = InterpolateOptions::new(InterpolateMode::Nearest);
    B::interpolate(x, [2 * shape[2], 2 * shape[3]], nearest)
}

/// The gradient of [`double`]: the sum of every two by two pixels.
fn halve<B: Backend>(grad: FloatTensor<B>) -> FloatTensor<B> {
    let mean = B::avg_pool2d(grad, [2, 2], [2, 2], [0, 0], true, false);
    B::float_mul_scalar(mean, 4.0.into())
}
