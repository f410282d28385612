//! Exact GELU: checks and dispatch. A CPU kernel; a GPU fuses the reference's operations.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{DType, Tensor};

use crate::active::{Kernel, runs};
use crate::{cpu, flex};

/// Backend side of [`gelu`].
#[backend_extension(Flex, Autodiff)]
pub trait GeluOps: Backend {
    /// `x` of any shape, f32.
    fn gelu_kernel(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// `grad * gelu'(x)`.
    fn gelu_kernel_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// `x * (1 + erf(x / sqrt 2)) / 2`, in place where nobody else holds `x`.
///
/// Versions tried: burn's (a scalar erf on one thread); a rational erf over sixteen lanes and all threads, as here.
///
/// Source: Hendrycks and Gimpel 2016, "Gaussian Error Linear Units".
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if x.dtype() == DType::F32 && runs(Kernel::Gelu, &x.device()) {
        Tensor::from_dispatch(Dispatch::gelu_kernel(x.into_dispatch()))
    } else {
        gelu_reference(x)
    }
}

/// [`gelu`] in tensor operations.
///
/// Not burn's activation: on a GPU its backward pass (burn 0.22.1) is the derivative of the tanh approximation, off by up to
/// 2e-3; `tests/gelu.rs` pins that.
pub fn gelu_reference<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let twice_phi = x.clone().mul_scalar(std::f32::consts::FRAC_1_SQRT_2).erf().add_scalar(1.0);
    (x * twice_phi).mul_scalar(0.5)
}

impl GeluOps for Flex {
    fn gelu_kernel(x: FloatTensor<Self>) -> FloatTensor<Self> {
        flex::map_in_place(x, cpu::gelu::gelu)
    }

    fn gelu_kernel_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = flex::contiguous(x);
        flex::map_in_place(grad, |grad| cpu::gelu::gelu_backward(flex::values(&x), grad))
    }
}

impl<B: GeluOps, C: CheckpointStrategy> GeluOps for Autodiff<B, C> {
    fn gelu_kernel(x: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Gelu;
        impl<B: GeluOps> Backward<B, 1> for Gelu {
            type State = NodeId;
            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, saved: &mut Checkpointer) {
                let x = saved.retrieve_node_output::<FloatTensor<B>>(ops.state);
                unary::<B, _>(ops.parents, ops.node, grads, |grad| B::gelu_kernel_backward(x, grad));
            }
        }
        match Gelu.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = prep.checkpoint(&x);
                prep.finish(state, B::gelu_kernel(x.into_primitive()))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::gelu_kernel(x.into_primitive())),
        }
    }

    fn gelu_kernel_backward(_x: FloatTensor<Self>, _grad: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("gradients are computed on the inner backend")
    }
}
