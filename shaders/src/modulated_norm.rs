//! Adaptive layer normalisation: checks, dispatch and launch.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Tensor};
use burn_wgpu::CubeBackend;

use crate::active::{Kernel, runs_with_gradients};
use crate::cpu::modulation::Modulation;
use crate::launch::{GRID_WIDTH, Rendered, launch};
use crate::norm::norm_reference;
use crate::{cpu, flex};

/// Backend side of [`modulated_norm`]. Only the CPU has the backward pass.
#[backend_extension(Cube, Flex, Autodiff, Fusion)]
pub trait ModulatedNormOps: Backend {
    /// `x [b, length, channels]`, `shift` and `scale [b, kinds, channels]`.
    #[fusion(dtype = x, shape = { let _ = (shift, scale); x.clone() })]
    fn modulated_norm_kernel(
        x: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        modulation: Modulation,
        epsilon: f32,
    ) -> FloatTensor<Self>;

    /// Gradients of `x`, `shift` and `scale`.
    #[fusion(default)]
    fn modulated_norm_kernel_backward(
        _x: FloatTensor<Self>,
        _scale: FloatTensor<Self>,
        _grad: FloatTensor<Self>,
        _modulation: Modulation,
        _epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("modulated_norm: gradients are computed on the CPU backend; others take the reference")
    }
}

/// `norm(x) * (1 + scale) + shift`, where `norm` is layer normalisation over the channels without parameters (adaLN).
///
/// - `x`: `[batch, length, channels]`
/// - `shift`, `scale`: `[batch, kinds, channels]`, one or two kinds of position: the first `first` positions take kind 0,
///   the others kind 1; with one kind `first` is ignored
///
/// Source: Peebles and Xie 2023, "Scalable Diffusion Models with Transformers"; one modulation for each kind of token as in
/// FlexTok (arXiv 2502.13967).
///
/// # Panics
/// If shapes do not fit: a shape error, as in any tensor operation.
pub fn modulated_norm(x: Tensor<3>, shift: Tensor<3>, scale: Tensor<3>, first: usize, epsilon: f32) -> Tensor<3> {
    let modulation = modulation("modulated_norm", &x, &shift, first);
    assert!(
        shift.dims() == scale.dims(),
        "modulated_norm: shift {:?} and scale {:?} differ",
        shift.dims(),
        scale.dims()
    );
    let f32_only = [x.dtype(), shift.dtype(), scale.dtype()].iter().all(|&dtype| dtype == DType::F32);
    let some = x.shape().num_elements() > 0;
    if f32_only && some && runs_with_gradients(Kernel::ModulatedNorm, &x.device()) {
        Tensor::from_dispatch(Dispatch::modulated_norm_kernel(
            x.into_dispatch(),
            shift.into_dispatch(),
            scale.into_dispatch(),
            modulation,
            epsilon,
        ))
    } else {
        modulated_norm_reference(x, shift, scale, first, epsilon)
    }
}

/// [`modulated_norm`] in tensor operations.
pub fn modulated_norm_reference(
    x: Tensor<3>,
    shift: Tensor<3>,
    scale: Tensor<3>,
    first: usize,
    epsilon: f32,
) -> Tensor<3> {
    let [_, length, _] = x.dims();
    norm_reference(x, epsilon) * (by_position(scale, length, first) + 1.0) + by_position(shift, length, first)
}

/// The sizes of `x` and of a tensor that modulates it, which must fit.
pub(crate) fn modulation(what: &str, x: &Tensor<3>, modulation: &Tensor<3>, first: usize) -> Modulation {
    let ([batch, length, channels], [of, kinds, wide]) = (x.dims(), modulation.dims());
    assert!(
        of == batch && wide == channels && (kinds == 1 || kinds == 2 && first <= length),
        "{what}: modulation {:?} with {first} first positions does not fit {:?}",
        modulation.dims(),
        x.dims()
    );
    Modulation { length, channels, kinds, first }
}

/// `[batch, kinds, channels]` as `[batch, length, channels]`, or with a length of one where there is one kind.
pub(crate) fn by_position(modulation: Tensor<3>, length: usize, first: usize) -> Tensor<3> {
    let [batch, kinds, channels] = modulation.dims();
    if kinds == 1 {
        return modulation;
    }
    let kind = |kind: usize, count: usize| {
        modulation.clone().slice([0..batch, kind..kind + 1]).expand([batch, count, channels])
    };
    match (first, length - first) {
        (0, _) => kind(1, length),
        (_, 0) => kind(0, length),
        (first, rest) => Tensor::cat(vec![kind(0, first), kind(1, rest)], 1),
    }
}

pub(crate) fn rendered() -> Rendered {
    Rendered {
        name: "modulated_norm",
        template: include_str!("modulated_norm.wgsl"),
        values: vec![("grid_width", GRID_WIDTH)],
        workgroup: 64,
    }
}

impl ModulatedNormOps for CubeBackend {
    fn modulated_norm_kernel(
        x: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        Modulation { length, channels, kinds, first }: Modulation,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let shape = x.shape();
        let rows = (shape[0] * length) as u32;
        let info = [rows, length as u32, channels as u32, kinds as u32, first as u32, epsilon.to_bits()];
        launch(rendered(), rows, vec![x, shift, scale], shape, DType::F32, &info)
    }
}

impl ModulatedNormOps for Flex {
    fn modulated_norm_kernel(
        x: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        modulation: Modulation,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let [x, shift, scale] = [x, shift, scale].map(flex::contiguous);
        let [values, by, factor] = [&x, &shift, &scale].map(flex::values);
        let y = cpu::modulated_norm::modulated_norm(values, by, factor, modulation, epsilon);
        flex::tensor(y, x.shape(), DType::F32)
    }

    fn modulated_norm_kernel_backward(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        modulation: Modulation,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [x, scale, grad] = [x, scale, grad].map(flex::contiguous);
        let [values, factor, given] = [&x, &scale, &grad].map(flex::values);
        let [of_x, of_shift, of_scale] =
            cpu::modulated_norm::modulated_norm_backward(values, factor, given, modulation, epsilon);
        (
            flex::tensor(of_x, x.shape(), DType::F32),
            flex::tensor(of_shift, scale.shape(), DType::F32),
            flex::tensor(of_scale, scale.shape(), DType::F32),
        )
    }
}

impl<B: ModulatedNormOps, C: CheckpointStrategy> ModulatedNormOps for Autodiff<B, C> {
    fn modulated_norm_kernel(
        x: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        modulation: Modulation,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), shift.node(), scale.node()];
        match ModulatedNorm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&scale), modulation, epsilon);
                let [x, shift, scale] = [x, shift, scale].map(|tensor| tensor.into_primitive());
                prep.finish(state, B::modulated_norm_kernel(x, shift, scale, modulation, epsilon))
            }
            OpsKind::UnTracked(prep) => {
                let [x, shift, scale] = [x, shift, scale].map(|tensor| tensor.into_primitive());
                prep.finish(B::modulated_norm_kernel(x, shift, scale, modulation, epsilon))
            }
        }
    }
}

#[derive(Debug)]
struct ModulatedNorm;

impl<B: ModulatedNormOps> Backward<B, 3> for ModulatedNorm {
    type State = (NodeId, NodeId, Modulation, f32);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, saved: &mut Checkpointer) {
        let (x, scale, modulation, epsilon) = ops.state;
        let x = saved.retrieve_node_output::<FloatTensor<B>>(x);
        let scale = saved.retrieve_node_output::<FloatTensor<B>>(scale);
        let grad = grads.consume::<B>(&ops.node);
        let (of_x, of_shift, of_scale) = B::modulated_norm_kernel_backward(x, scale, grad, modulation, epsilon);
        for (parent, gradient) in ops.parents.into_iter().zip([of_x, of_shift, of_scale]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}
