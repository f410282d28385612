//! The gated linear unit with SiLU: checks and dispatch. A CPU kernel; a GPU fuses the reference's operations.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Tensor, activation};

use crate::active::{Kernel, runs};
use crate::{cpu, flex};

/// Backend side of [`swiglu`].
#[backend_extension(Flex, Autodiff)]
pub trait SwigluOps: Backend {
    /// `gate` and `up` of one shape, f32.
    fn swiglu_kernel(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Gradients of `gate` and `up`.
    fn swiglu_kernel_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// `gate * sigmoid(gate) * up`, in place where nobody else holds `gate`.
///
/// Source: Shazeer 2020, "GLU Variants Improve Transformer".
///
/// # Panics
/// If shapes differ: a shape error, as in any tensor operation.
pub fn swiglu<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    assert!(gate.dims() == up.dims(), "swiglu: {:?} and {:?} differ", gate.dims(), up.dims());
    let f32_only = gate.dtype() == DType::F32 && up.dtype() == DType::F32;
    if f32_only && runs(Kernel::Swiglu, &gate.device()) {
        Tensor::from_dispatch(Dispatch::swiglu_kernel(gate.into_dispatch(), up.into_dispatch()))
    } else {
        swiglu_reference(gate, up)
    }
}

/// [`swiglu`] in tensor operations.
pub fn swiglu_reference<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    activation::silu(gate) * up
}

impl SwigluOps for Flex {
    fn swiglu_kernel(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let up = flex::contiguous(up);
        flex::map_in_place(gate, |gate| cpu::swiglu::swiglu(gate, flex::values(&up)))
    }

    fn swiglu_kernel_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (gate, up) = (flex::contiguous(gate), flex::contiguous(up));
        let mut of_up = Vec::new();
        let of_gate = flex::map_in_place(grad, |grad| {
            of_up = cpu::swiglu::swiglu_backward(flex::values(&gate), flex::values(&up), grad);
        });
        (of_gate, flex::tensor(of_up, up.shape(), DType::F32))
    }
}

impl<B: SwigluOps, C: CheckpointStrategy> SwigluOps for Autodiff<B, C> {
    fn swiglu_kernel(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        match Swiglu.prepare::<C>([gate.node(), up.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&gate), prep.checkpoint(&up));
                prep.finish(state, B::swiglu_kernel(gate.into_primitive(), up.into_primitive()))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::swiglu_kernel(gate.into_primitive(), up.into_primitive())),
        }
    }

    fn swiglu_kernel_backward(
        _gate: FloatTensor<Self>,
        _up: FloatTensor<Self>,
        _grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("gradients are computed on the inner backend")
    }
}

#[derive(Debug)]
struct Swiglu;

impl<B: SwigluOps> Backward<B, 2> for Swiglu {
    type State = (NodeId, NodeId);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, saved: &mut Checkpointer) {
        let gate = saved.retrieve_node_output::<FloatTensor<B>>(ops.state.0);
        let up = saved.retrieve_node_output::<FloatTensor<B>>(ops.state.1);
        let grad = grads.consume::<B>(&ops.node);
        let (of_gate, of_up) = B::swiglu_kernel_backward(gate, up, grad);
        for (parent, gradient) in ops.parents.into_iter().zip([of_gate, of_up]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}
