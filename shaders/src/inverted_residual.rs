//! Inverted residual block with frozen weights: checks and dispatch. A CPU kernel; a GPU takes burn's convolutions.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::ops::{ConvOptions, PadMode};
use burn::tensor::{DType, Shape, Tensor, module};

use crate::active::{Kernel, runs};
use crate::cpu::inverted_residual::{InvertedResidualGeometry, Side};
use crate::{cpu, flex};

/// Backend side of [`inverted_residual`].
#[backend_extension(Flex, Autodiff)]
pub trait InvertedResidualOps: Backend {
    /// `x [b, i, h, w] -> [b, o, h', w']`; no gradient reaches `parameters`.
    fn inverted_residual(
        x: FloatTensor<Self>,
        parameters: FloatTensor<Self>,
        geometry: InvertedResidualGeometry,
    ) -> FloatTensor<Self>;

    /// The gradient of `x` from that of the output.
    fn inverted_residual_backward(
        x: FloatTensor<Self>,
        parameters: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        geometry: InvertedResidualGeometry,
    ) -> FloatTensor<Self>;
}

/// MobileNet's inverted residual block with ReLU6 and frozen weights: 1x1 expansion + ReLU6 (if
/// `geometry.expands`), depthwise convolution + ReLU6, 1x1 projection, and the input added where it has the output's
/// shape.
///
/// - `x`: `[b, inputs, h, w]`
/// - `parameters`: `[n]`, side by side: expansion `[expanded, inputs]` and its bias `[expanded]` (if there is one),
///   depthwise `[expanded, kernel, kernel]` and `[expanded]`, projection `[outputs, expanded]` and `[outputs]`
/// - returns `[b, outputs, ceil(h / stride), ceil(w / stride)]`; padding is "same" as in TensorFlow: where a stride
///   does not divide, the end gets more of it
///
/// The gradient of `x` is computed, none of the parameters: the block is part of a network that judges, not of one
/// that learns.
///
/// Source: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", section 3.
///
/// # Panics
/// If the shapes do not fit, or the kernel is smaller than the stride: a shape error, as in any tensor operation.
pub fn inverted_residual(x: Tensor<4>, parameters: Tensor<1>, geometry: InvertedResidualGeometry) -> Tensor<4> {
    check(&x, &parameters, &geometry);
    let f32_only = [x.dtype(), parameters.dtype()].iter().all(|&dtype| dtype == DType::F32);
    if !f32_only || x.dims().contains(&0) || !runs(Kernel::InvertedResidual, &x.device()) {
        return inverted_residual_reference(x, parameters, geometry);
    }
    Tensor::from_dispatch(Dispatch::inverted_residual(x.into_dispatch(), parameters.into_dispatch(), geometry))
}

/// [`inverted_residual`] as burn's convolutions.
///
/// # Panics
/// As [`inverted_residual`].
pub fn inverted_residual_reference(
    x: Tensor<4>,
    parameters: Tensor<1>,
    geometry: InvertedResidualGeometry,
) -> Tensor<4> {
    check(&x, &parameters, &geometry);
    let InvertedResidualGeometry { inputs, expanded, outputs, kernel, stride, expands } = geometry;
    let parts = geometry.parts();
    let [_, _, height, width] = x.dims();
    let part = |range: &std::ops::Range<usize>| parameters.clone().detach().slice([range.clone()]);
    let convolve = |x: Tensor<4>, [weight, bias]: &[std::ops::Range<usize>; 2], shape: [usize; 4], options| {
        module::conv2d(x, part(weight).reshape(shape), Some(part(bias)), options)
    };
    let plain = || ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
    let mut y = x.clone();
    if expands {
        y = convolve(y, &parts.expand, [expanded, inputs, 1, 1], plain()).clamp(0.0, 6.0);
    }
    let [rows, columns] = [height, width].map(|side| Side::same(side, kernel, stride));
    let even = rows.before == rows.after && columns.before == columns.after;
    let padding = if even { [rows.before, columns.before] } else { [0, 0] };
    if !even {
        y = y.pad((columns.before, columns.after, rows.before, rows.after), PadMode::Constant(0.0));
    }
    let options = ConvOptions::new([stride, stride], padding, [1, 1], expanded);
    let y = convolve(y, &parts.depthwise, [expanded, 1, kernel, kernel], options).clamp(0.0, 6.0);
    let y = convolve(y, &parts.project, [outputs, expanded, 1, 1], plain());
    if geometry.is_residual() { y + x } else { y }
}

fn check(x: &Tensor<4>, parameters: &Tensor<1>, geometry: &InvertedResidualGeometry) {
    let InvertedResidualGeometry { inputs, expanded, kernel, stride, expands, .. } = *geometry;
    assert!(
        x.dims()[1] == inputs && parameters.dims() == [geometry.parameters()],
        "inverted_residual: an input {:?} and {} parameters do not fit {geometry:?}",
        x.dims(),
        parameters.dims()[0]
    );
    assert!(
        (expands || expanded == inputs) && stride > 0 && kernel >= stride,
        "inverted_residual: {geometry:?} is no block"
    );
}

fn dims(shape: &Shape) -> [usize; 3] {
    [shape[0], shape[2], shape[3]]
}

impl InvertedResidualOps for Flex {
    fn inverted_residual(
        x: FloatTensor<Self>,
        parameters: FloatTensor<Self>,
        geometry: InvertedResidualGeometry,
    ) -> FloatTensor<Self> {
        let (x, parameters) = (flex::contiguous(x), flex::contiguous(parameters));
        let [batch, height, width] = dims(&x.shape());
        let (pictures, weights) = (flex::values(&x), flex::values(&parameters));
        let y = cpu::inverted_residual::inverted_residual(pictures, weights, &geometry, [batch, height, width]);
        let [height, width] = geometry.output_size([height, width]);
        flex::tensor(y, Shape::new([batch, geometry.outputs, height, width]), DType::F32)
    }

    fn inverted_residual_backward(
        x: FloatTensor<Self>,
        parameters: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        geometry: InvertedResidualGeometry,
    ) -> FloatTensor<Self> {
        let [x, parameters, grad] = [x, parameters, grad].map(flex::contiguous);
        let shape = x.shape();
        let [pictures, weights, given] = [&x, &parameters, &grad].map(flex::values);
        let result =
            cpu::inverted_residual::inverted_residual_backward(pictures, weights, given, &geometry, dims(&shape));
        flex::tensor(result, shape, DType::F32)
    }
}

impl<B: InvertedResidualOps, C: CheckpointStrategy> InvertedResidualOps for Autodiff<B, C> {
    fn inverted_residual(
        x: FloatTensor<Self>,
        parameters: FloatTensor<Self>,
        geometry: InvertedResidualGeometry,
    ) -> FloatTensor<Self> {
        let parameters = parameters.into_primitive();
        match InvertedResidual.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), parameters.clone(), geometry);
                prep.finish(state, B::inverted_residual(x.into_primitive(), parameters, geometry))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::inverted_residual(x.into_primitive(), parameters, geometry)),
        }
    }

    fn inverted_residual_backward(
        _x: FloatTensor<Self>,
        _parameters: FloatTensor<Self>,
        _grad: FloatTensor<Self>,
        _geometry: InvertedResidualGeometry,
    ) -> FloatTensor<Self> {
        unreachable!("gradients are computed on the inner backend")
    }
}

#[derive(Debug)]
struct InvertedResidual;

impl<B: InvertedResidualOps> Backward<B, 1> for InvertedResidual {
    type State = (NodeId, FloatTensor<B>, InvertedResidualGeometry);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, saved: &mut Checkpointer) {
        let (x, parameters, geometry) = ops.state;
        let x = saved.retrieve_node_output::<FloatTensor<B>>(x);
        let grad = grads.consume::<B>(&ops.node);
        let [node] = ops.parents;
        if let Some(node) = node {
            grads.register::<B>(node.id, B::inverted_residual_backward(x, parameters, grad, geometry));
        }
    }
}
