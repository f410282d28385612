//! Layer normalisation without parameters: checks and dispatch. A CPU kernel; a GPU fuses burn's own with its neighbours.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Tensor, module};

use crate::active::{Kernel, runs};
use crate::{cpu, flex};

/// Backend side of [`norm`].
#[backend_extension(Flex, Autodiff)]
pub trait NormOps: Backend {
    /// `x [..., c]`, f32, `c` at least 1.
    fn norm_kernel(x: FloatTensor<Self>, epsilon: f32) -> FloatTensor<Self>;

    /// Gradient of `x`.
    fn norm_kernel_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>, epsilon: f32) -> FloatTensor<Self>;
}

/// `(x - mean) / sqrt(variance + epsilon)`, moments over the last dimension, biased variance; in place where nobody else
/// holds `x`. For rows of any width, such as the queries and keys of one head.
///
/// Source: Ba et al. 2016, "Layer Normalization", without gain and bias.
pub fn norm<const D: usize>(x: Tensor<D>, epsilon: f32) -> Tensor<D> {
    if x.dtype() == DType::F32 && x.shape().num_elements() > 0 && runs(Kernel::Norm, &x.device()) {
        Tensor::from_dispatch(Dispatch::norm_kernel(x.into_dispatch(), epsilon))
    } else {
        norm_reference(x, epsilon)
    }
}

/// [`norm`] as burn's module operation with a gain of one.
pub fn norm_reference<const D: usize>(x: Tensor<D>, epsilon: f32) -> Tensor<D> {
    let ones = Tensor::ones([x.dims()[D - 1]], &x.device());
    module::layer_norm(x, ones, None, f64::from(epsilon))
}

fn width(x: &FloatTensor<Flex>) -> usize {
    let shape = x.shape();
    shape[shape.num_dims() - 1]
}

impl NormOps for Flex {
    fn norm_kernel(x: FloatTensor<Self>, epsilon: f32) -> FloatTensor<Self> {
        let width = width(&x);
        flex::map_or_make(x, |x| cpu::norm::norm_in_place(x, width, epsilon), |x| cpu::norm::norm(x, width, epsilon))
    }

    fn norm_kernel_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>, epsilon: f32) -> FloatTensor<Self> {
        let x = flex::contiguous(x);
        flex::map_in_place(grad, |grad| cpu::norm::norm_backward(flex::values(&x), grad, width(&x), epsilon))
    }
}

impl<B: NormOps, C: CheckpointStrategy> NormOps for Autodiff<B, C> {
    fn norm_kernel(x: FloatTensor<Self>, epsilon: f32) -> FloatTensor<Self> {
        match Norm.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), epsilon);
                prep.finish(state, B::norm_kernel(x.into_primitive(), epsilon))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::norm_kernel(x.into_primitive(), epsilon)),
        }
    }

    fn norm_kernel_backward(_x: FloatTensor<Self>, _grad: FloatTensor<Self>, _epsilon: f32) -> FloatTensor<Self> {
        unreachable!("gradients are computed on the inner backend")
    }
}

#[derive(Debug)]
struct Norm;

impl<B: NormOps> Backward<B, 1> for Norm {
    type State = (NodeId, f32);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, saved: &mut Checkpointer) {
        let (x, epsilon) = ops.state;
        let x = saved.retrieve_node_output::<FloatTensor<B>>(x);
        unary::<B, _>(ops.parents, ops.node, grads, |grad| B::norm_kernel_backward(x, grad, epsilon));
    }
}
