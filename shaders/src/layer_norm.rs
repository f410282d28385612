//! Layer normalisation: checks and dispatch. A CPU kernel; a GPU fuses burn's own with its neighbours.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Tensor, module};

use crate::active::{Kernel, runs};
use crate::{cpu, flex};

/// Backend side of [`layer_norm`].
#[backend_extension(Flex, Autodiff)]
pub trait LayerNormOps: Backend {
    /// `x [..., c]`, `gamma [c]`, `beta [c]`.
    fn layer_norm_kernel(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;

    /// Gradients of `x`, `gamma` and `beta`.
    fn layer_norm_kernel_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// `(x - mean) / sqrt(variance + epsilon) * gamma + beta`, moments over the last dimension, biased variance.
///
/// Forward this is burn's speed on the CPU; what it gains is the written backward pass, for which burn takes a dozen
/// operations. Moments are computed again there rather than kept.
///
/// Source: Ba et al. 2016, "Layer Normalization".
///
/// # Panics
/// If `gamma` and `beta` are not as long as the last dimension: a shape error, as in any tensor operation.
pub fn layer_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f32) -> Tensor<D> {
    let width = x.dims()[D - 1];
    assert!(
        gamma.dims() == [width] && beta.dims() == [width],
        "layer_norm: gamma {:?} and beta {:?} do not fit rows of {width}",
        gamma.dims(),
        beta.dims()
    );
    let f32_only = [x.dtype(), gamma.dtype(), beta.dtype()].iter().all(|&dtype| dtype == DType::F32);
    if f32_only && width > 0 && runs(Kernel::LayerNorm, &x.device()) {
        Tensor::from_dispatch(Dispatch::layer_norm_kernel(
            x.into_dispatch(),
            gamma.into_dispatch(),
            beta.into_dispatch(),
            epsilon,
        ))
    } else {
        layer_norm_reference(x, gamma, beta, epsilon)
    }
}

/// [`layer_norm`] as burn's module operation.
pub fn layer_norm_reference<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f32,
) -> Tensor<D> {
    module::layer_norm(x, gamma, Some(beta), f64::from(epsilon))
}

impl LayerNormOps for Flex {
    fn layer_norm_kernel(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let (x, gamma, beta) = (flex::contiguous(x), flex::contiguous(gamma), flex::contiguous(beta));
        let (values, affine) = (flex::values(&x), [flex::values(&gamma), flex::values(&beta)]);
        let y = cpu::layer_norm::layer_norm(values, affine[0], affine[1], epsilon);
        flex::tensor(y, x.shape(), DType::F32)
    }

    fn layer_norm_kernel_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (x, gamma, grad) = (flex::contiguous(x), flex::contiguous(gamma), flex::contiguous(grad));
        let [of_x, of_gamma, of_beta] =
            cpu::layer_norm::layer_norm_backward(flex::values(&x), flex::values(&gamma), flex::values(&grad), epsilon);
        (
            flex::tensor(of_x, x.shape(), DType::F32),
            flex::tensor(of_gamma, gamma.shape(), DType::F32),
            flex::tensor(of_beta, gamma.shape(), DType::F32),
        )
    }
}

impl<B: LayerNormOps, C: CheckpointStrategy> LayerNormOps for Autodiff<B, C> {
    fn layer_norm_kernel(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gamma.node(), beta.node()];
        match LayerNorm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&gamma), epsilon);
                let [x, gamma, beta] = [x, gamma, beta].map(|tensor| tensor.into_primitive());
                prep.finish(state, B::layer_norm_kernel(x, gamma, beta, epsilon))
            }
            OpsKind::UnTracked(prep) => {
                let [x, gamma, beta] = [x, gamma, beta].map(|tensor| tensor.into_primitive());
                prep.finish(B::layer_norm_kernel(x, gamma, beta, epsilon))
            }
        }
    }

    fn layer_norm_kernel_backward(
        _x: FloatTensor<Self>,
        _gamma: FloatTensor<Self>,
        _grad: FloatTensor<Self>,
        _epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("gradients are computed on the inner backend")
    }
}

#[derive(Debug)]
struct LayerNorm;

impl<B: LayerNormOps> Backward<B, 3> for LayerNorm {
    type State = (NodeId, NodeId, f32);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, saved: &mut Checkpointer) {
        let (x, gamma, epsilon) = ops.state;
        let x = saved.retrieve_node_output::<FloatTensor<B>>(x);
        let gamma = saved.retrieve_node_output::<FloatTensor<B>>(gamma);
        let grad = grads.consume::<B>(&ops.node);
        let (of_x, of_gamma, of_beta) = B::layer_norm_kernel_backward(x, gamma, grad, epsilon);
        for (parent, gradient) in ops.parents.into_iter().zip([of_x, of_gamma, of_beta]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}
