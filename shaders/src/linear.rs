//! Fully connected layer: checks and dispatch. A CPU kernel; a GPU takes burn's matrix products, which are tuned there.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Shape, Tensor, module};

use crate::active::{Kernel, runs};
use crate::cpu::linear::Strided;
use crate::{cpu, flex};

/// Backend side of [`linear`].
#[backend_extension(Flex, Autodiff)]
pub trait LinearOps: Backend {
    /// `x [..., i] * weight [i, o] + bias [o]`.
    fn linear_kernel(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;

    /// `x [..., i] * weight [i, o]`; not on an autodiff backend.
    fn linear_kernel_unbiased(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradient `[i, o]` of the weight, a transposed view as weights themselves are.
    fn linear_kernel_weight(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// `x * weight + bias`.
///
/// - `x`: `[..., inputs]`, `weight`: `[inputs, outputs]` of any strides (a transposed view of a checkpoint's
///   `[outputs, inputs]` is read where it lies), `bias`: `[outputs]`. A weight of half precision beside an `x` of f32 is read as
///   it is on a CPU, sums are f32
/// - returns `[..., outputs]`
///
/// # Panics
/// If the shapes do not fit: a shape error, as in any tensor operation.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let [inputs, outputs] = weight.dims();
    let dims = x.dims();
    let rows: usize = dims[..D - 1].iter().product();
    assert!(
        dims[D - 1] == inputs && bias.as_ref().is_none_or(|bias| bias.dims() == [outputs]),
        "linear: a weight {:?} does not fit an input {dims:?}",
        weight.dims()
    );
    let device = x.device();
    // Half-precision weights are a matter of the CPU's kernel: anything else takes them widened.
    let half = weight.dtype() == DType::F16 && x.dtype() == DType::F32;
    let weight = match half && (device.is_autodiff() || !runs(Kernel::Linear, &device)) {
        true => weight.cast(DType::F32),
        false => weight,
    };
    let f32_only = x.dtype() == DType::F32
        && (weight.dtype() == DType::F32 || weight.dtype() == DType::F16)
        && bias.as_ref().is_none_or(|bias| bias.dtype() == DType::F32);
    let some = rows > 0 && inputs > 0 && outputs > 0;
    if !f32_only || !some || !runs(Kernel::Linear, &device) {
        return linear_reference(x, weight, bias);
    }
    // A layer that trains without a bias takes the backward pass of one whose bias is zero and does not train.
    let zero = || Tensor::zeros([outputs], &device);
    let bias = if device.is_autodiff() { Some(bias.unwrap_or_else(zero)) } else { bias };
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(match bias {
        Some(bias) => Dispatch::linear_kernel(x, weight, bias.into_dispatch()),
        None => Dispatch::linear_kernel_unbiased(x, weight),
    })
}

/// [`linear`] as burn's module operation.
pub fn linear_reference<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    module::linear(x, weight, bias)
}

/// Rows and columns of `[..., columns]`.
fn matrix(shape: &Shape) -> [usize; 2] {
    let columns = shape[shape.num_dims() - 1];
    [shape.num_elements() / columns, columns]
}

fn on_cpu(x: FloatTensor<Flex>, weight: FloatTensor<Flex>, bias: Option<FloatTensor<Flex>>) -> FloatTensor<Flex> {
    let (x, bias) = (flex::contiguous(x), bias.map(flex::contiguous));
    let mut shape = x.shape();
    let ([rows, inputs], outputs) = (matrix(&shape), weight.shape()[1]);
    let last = shape.num_dims() - 1;
    shape[last] = outputs;
    if weight.dtype() == DType::F16 {
        // Its transpose, as the checkpoint has it, row by row.
        let weight = flex::contiguous(weight.transpose(0, 1));
        let values = &weight.storage::<burn::tensor::f16>()[..inputs * outputs];
        let bias = bias.as_ref().map(flex::values);
        let y = cpu::linear::linear_half(flex::values(&x), values, bias, [rows, inputs, outputs]);
        return flex::tensor(y, shape, DType::F32);
    }
    let weight = flex::forward_strides(weight);
    let y = cpu::linear::linear(
        Strided { values: flex::values(&x), strides: [inputs, 1] },
        flex::strided(&weight),
        bias.as_ref().map(flex::values),
        [rows, inputs, outputs],
    );
    flex::tensor(y, shape, DType::F32)
}

impl LinearOps for Flex {
    fn linear_kernel(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        on_cpu(x, weight, Some(bias))
    }

    fn linear_kernel_unbiased(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        on_cpu(x, weight, None)
    }

    fn linear_kernel_weight(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, grad) = (flex::contiguous(x), flex::contiguous(grad));
        let ([rows, inputs], [_, outputs]) = (matrix(&x.shape()), matrix(&grad.shape()));
        let of_weight = cpu::linear::linear(
            Strided { values: flex::values(&grad), strides: [1, outputs] },
            Strided { values: flex::values(&x), strides: [inputs, 1] },
            None,
            [outputs, rows, inputs],
        );
        flex::tensor(of_weight, Shape::new([outputs, inputs]), DType::F32).transpose(0, 1)
    }
}

impl<B: LinearOps, C: CheckpointStrategy> LinearOps for Autodiff<B, C> {
    fn linear_kernel(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let run = |x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>| {
            B::linear_kernel(x.into_primitive(), weight.into_primitive(), bias.into_primitive())
        };
        match Linear.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&weight));
                prep.finish(state, run(x, weight, bias))
            }
            OpsKind::UnTracked(prep) => prep.finish(run(x, weight, bias)),
        }
    }

    fn linear_kernel_unbiased(_x: FloatTensor<Self>, _weight: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("on an autodiff device a layer without bias gets one of zeros")
    }

    fn linear_kernel_weight(_x: FloatTensor<Self>, _grad: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("gradients are computed on the inner backend")
    }
}

#[derive(Debug)]
struct Linear;

impl<B: LinearOps> Backward<B, 3> for Linear {
    type State = (NodeId, NodeId);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, saved: &mut Checkpointer) {
        let x = saved.retrieve_node_output::<FloatTensor<B>>(ops.state.0);
        let weight = saved.retrieve_node_output::<FloatTensor<B>>(ops.state.1);
        let grad = grads.consume::<B>(&ops.node);
        let [x_node, weight_node, bias_node] = ops.parents;
        if let Some(node) = x_node {
            let turned = B::float_swap_dims(weight, 0, 1);
            grads.register::<B>(node.id, B::linear_kernel_unbiased(grad.clone(), turned));
        }
        if let Some(node) = weight_node {
            grads.register::<B>(node.id, B::linear_kernel_weight(x, grad.clone()));
        }
        if let Some(node) = bias_node {
            let [rows, outputs] = matrix(&grad.shape());
            let sum = B::float_sum_dim(B::float_reshape(grad, Shape::new([rows, outputs])), 0);
            grads.register::<B>(node.id, B::float_reshape(sum, Shape::new([outputs])));
        }
    }
}
