//! The gated residual of adaptive layer normalisation: checks and dispatch. A CPU kernel; a GPU fuses the reference.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Tensor};

use crate::active::{Kernel, runs};
use crate::cpu::modulation::Modulation;
use crate::modulated_norm::{by_position, modulation};
use crate::{cpu, flex};

/// Backend side of [`gated_add`].
#[backend_extension(Flex, Autodiff)]
pub trait GatedAddOps: Backend {
    /// `x` and `y [b, length, channels]`, `gate [b, kinds, channels]`.
    fn gated_add_kernel(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        modulation: Modulation,
    ) -> FloatTensor<Self>;

    /// Gradients of `y` and `gate`; that of `x` is `grad` itself.
    fn gated_add_kernel_backward(
        y: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        modulation: Modulation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// `x + gate * y`, in place where nobody else holds `x`.
///
/// - `x`, `y`: `[batch, length, channels]`
/// - `gate`: `[batch, kinds, channels]`, kinds of position as in [`modulated_norm`](crate::modulated_norm)
///
/// Source: Peebles and Xie 2023, "Scalable Diffusion Models with Transformers".
///
/// # Panics
/// If shapes do not fit: a shape error, as in any tensor operation.
pub fn gated_add(x: Tensor<3>, y: Tensor<3>, gate: Tensor<3>, first: usize) -> Tensor<3> {
    assert!(x.dims() == y.dims(), "gated_add: {:?} and {:?} differ", x.dims(), y.dims());
    let modulation = modulation("gated_add", &x, &gate, first);
    let f32_only = [x.dtype(), y.dtype(), gate.dtype()].iter().all(|&dtype| dtype == DType::F32);
    if f32_only && x.shape().num_elements() > 0 && runs(Kernel::GatedAdd, &x.device()) {
        Tensor::from_dispatch(Dispatch::gated_add_kernel(
            x.into_dispatch(),
            y.into_dispatch(),
            gate.into_dispatch(),
            modulation,
        ))
    } else {
        gated_add_reference(x, y, gate, first)
    }
}

/// [`gated_add`] in tensor operations.
pub fn gated_add_reference(x: Tensor<3>, y: Tensor<3>, gate: Tensor<3>, first: usize) -> Tensor<3> {
    let [_, length, _] = x.dims();
    x + y * by_position(gate, length, first)
}

impl GatedAddOps for Flex {
    fn gated_add_kernel(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        modulation: Modulation,
    ) -> FloatTensor<Self> {
        let (y, gate) = (flex::contiguous(y), flex::contiguous(gate));
        let [y, gate] = [&y, &gate].map(flex::values);
        flex::map_or_make(
            x,
            |x| cpu::gated_add::gated_add_in_place(x, y, gate, modulation),
            |x| cpu::gated_add::gated_add(x, y, gate, modulation),
        )
    }

    fn gated_add_kernel_backward(
        y: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        modulation: Modulation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [y, gate, grad] = [y, gate, grad].map(flex::contiguous);
        let [values, by, given] = [&y, &gate, &grad].map(flex::values);
        let [of_y, of_gate] = cpu::gated_add::gated_add_backward(values, by, given, modulation);
        (flex::tensor(of_y, y.shape(), DType::F32), flex::tensor(of_gate, gate.shape(), DType::F32))
    }
}

impl<B: GatedAddOps, C: CheckpointStrategy> GatedAddOps for Autodiff<B, C> {
    fn gated_add_kernel(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        modulation: Modulation,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), y.node(), gate.node()];
        match GatedAdd.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&y), prep.checkpoint(&gate), modulation);
                let [x, y, gate] = [x, y, gate].map(|tensor| tensor.into_primitive());
                prep.finish(state, B::gated_add_kernel(x, y, gate, modulation))
            }
            OpsKind::UnTracked(prep) => {
                let [x, y, gate] = [x, y, gate].map(|tensor| tensor.into_primitive());
                prep.finish(B::gated_add_kernel(x, y, gate, modulation))
            }
        }
    }

    fn gated_add_kernel_backward(
        _y: FloatTensor<Self>,
        _gate: FloatTensor<Self>,
        _grad: FloatTensor<Self>,
        _modulation: Modulation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("gradients are computed on the inner backend")
    }
}

#[derive(Debug)]
struct GatedAdd;

impl<B: GatedAddOps> Backward<B, 3> for GatedAdd {
    type State = (NodeId, NodeId, Modulation);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, saved: &mut Checkpointer) {
        let (y, gate, modulation) = ops.state;
        let y = saved.retrieve_node_output::<FloatTensor<B>>(y);
        let gate = saved.retrieve_node_output::<FloatTensor<B>>(gate);
        let grad = grads.consume::<B>(&ops.node);
        let (of_y, of_gate) = B::gated_add_kernel_backward(y, gate, grad.clone(), modulation);
        for (parent, gradient) in ops.parents.into_iter().zip([grad, of_y, of_gate]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}
