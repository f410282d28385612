//! Rotary positions: checks, dispatch and launch.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Tensor};
use burn_wgpu::CubeBackend;

use crate::active::{Kernel, runs_with_gradients};
use crate::cpu::rotary::Turn;
use crate::launch::{GRID_WIDTH, Rendered, WORKGROUP, launch};
use crate::{cpu, flex};

/// Backend side of [`rotary`]. Only the CPU turns back, for gradients.
#[backend_extension(Cube, Flex, Autodiff, Fusion)]
pub trait RotaryOps: Backend {
    /// `x [b, length, width]`, `cos` and `sin [length, half]`.
    #[fusion(dtype = x, shape = { let _ = (cos, sin); x.clone() })]
    fn rotary_kernel(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        back: bool,
    ) -> FloatTensor<Self>;
}

/// Turns neighbouring channels `(2i, 2i + 1)` of each head by the angle `i` of their position; in place where nobody else
/// holds `x`.
///
/// - `x`: `[batch, length, width]`, heads side by side in the width
/// - `cos`, `sin`: `[length, half]`, half the channels of a head; rows of zeros make zeros of their position. No gradient flows
///   to them
///
/// Source: Su et al. 2021, "RoFormer"; two-dimensional angles as in LlamaGen (arXiv 2406.06525).
///
/// # Panics
/// If shapes do not fit: a shape error, as in any tensor operation.
pub fn rotary(x: Tensor<3>, cos: Tensor<2>, sin: Tensor<2>) -> Tensor<3> {
    let ([_, length, width], [rows, half]) = (x.dims(), cos.dims());
    assert!(
        rows == length && sin.dims() == cos.dims() && half > 0 && width % (2 * half) == 0,
        "rotary: angles {:?} and {:?} do not fit {:?}",
        cos.dims(),
        sin.dims(),
        x.dims()
    );
    let f32_only = [x.dtype(), cos.dtype(), sin.dtype()].iter().all(|&dtype| dtype == DType::F32);
    let some = x.shape().num_elements() > 0;
    if f32_only && some && runs_with_gradients(Kernel::Rotary, &x.device()) {
        let [cos, sin] = [cos, sin].map(Tensor::into_dispatch);
        Tensor::from_dispatch(Dispatch::rotary_kernel(x.into_dispatch(), cos, sin, false))
    } else {
        rotary_reference(x, cos, sin)
    }
}

/// [`rotary`] in tensor operations.
pub fn rotary_reference(x: Tensor<3>, cos: Tensor<2>, sin: Tensor<2>) -> Tensor<3> {
    let ([batch, length, width], [_, half]) = (x.dims(), cos.dims());
    let heads = width / (2 * half);
    let pairs = x.reshape([batch, length, heads, half, 2]);
    let part = |part: usize| {
        let all = [0..batch, 0..length, 0..heads, 0..half, part..part + 1];
        pairs.clone().slice(all).reshape([batch, length, heads, half])
    };
    let [a, b] = [part(0), part(1)];
    let [cos, sin] = [cos, sin].map(|angles| angles.reshape([1, length, 1, half]));
    let turned = [a.clone() * cos.clone() - b.clone() * sin.clone(), b * cos + a * sin];
    Tensor::stack::<5>(turned.to_vec(), 4).reshape([batch, length, width])
}

pub(crate) fn rendered() -> Rendered {
    Rendered {
        name: "rotary",
        template: include_str!("rotary.wgsl"),
        values: vec![("grid_width", GRID_WIDTH)],
        workgroup: WORKGROUP,
    }
}

impl RotaryOps for CubeBackend {
    fn rotary_kernel(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        back: bool,
    ) -> FloatTensor<Self> {
        assert!(!back, "rotary: gradients on a GPU come from the reference");
        let (shape, half) = (x.shape(), cos.shape()[1]);
        let pairs = (shape.num_elements() / 2) as u32;
        let info = [pairs, (shape[2] / 2) as u32, shape[1] as u32, half as u32];
        launch(rendered(), pairs.div_ceil(WORKGROUP), vec![x, cos, sin], shape, DType::F32, &info)
    }
}

impl RotaryOps for Flex {
    fn rotary_kernel(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        back: bool,
    ) -> FloatTensor<Self> {
        let [cos, sin] = [cos, sin].map(flex::contiguous);
        let shape = x.shape();
        let turn = Turn { length: shape[1], width: shape[2], half: cos.shape()[1], back };
        flex::map_in_place(x, |x| cpu::rotary::rotary(x, flex::values(&cos), flex::values(&sin), turn))
    }
}

impl<B: RotaryOps, C: CheckpointStrategy> RotaryOps for Autodiff<B, C> {
    fn rotary_kernel(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        back: bool,
    ) -> FloatTensor<Self> {
        let [cos, sin] = [cos, sin].map(|tensor| tensor.into_primitive());
        match RotaryTurn.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let y = B::rotary_kernel(x.into_primitive(), cos.clone(), sin.clone(), back);
                prep.finish((cos, sin, back), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::rotary_kernel(x.into_primitive(), cos, sin, back)),
        }
    }
}

#[derive(Debug)]
struct RotaryTurn;

impl<B: RotaryOps> Backward<B, 1> for RotaryTurn {
    type State = (FloatTensor<B>, FloatTensor<B>, bool);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _saved: &mut Checkpointer) {
        let (cos, sin, back) = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |grad| B::rotary_kernel(grad, cos, sin, !back));
    }
}
