//! Group normalisation followed by SiLU in one pass: checks, dispatch and launch.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Shape, Tensor, activation};
use burn_wgpu::CubeBackend;

use crate::active::{Kernel, runs_with_gradients};
use crate::launch::{GRID_WIDTH, Rendered, launch};
use crate::{cpu, flex};

/// Backend side of [`group_norm_silu`]. Only the CPU has the backward pass.
#[backend_extension(Cube, Flex, Autodiff, Fusion)]
pub trait GroupNormSiluOps: Backend {
    /// `x [b, c, s]`, `gamma [c]`, `beta [c]`, `groups` divides `c`.
    #[fusion(dtype = x, shape = { let _ = (gamma, beta); x.clone() })]
    fn group_norm_silu(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        groups: usize,
        epsilon: f32,
        silu: bool,
    ) -> FloatTensor<Self>;

    /// Gradients of `x`, `gamma` and `beta`.
    #[fusion(default)]
    fn group_norm_silu_backward(
        _x: FloatTensor<Self>,
        _gamma: FloatTensor<Self>,
        _beta: FloatTensor<Self>,
        _grad: FloatTensor<Self>,
        _norm: GroupNormSilu,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("group_norm_silu: gradients are computed on the CPU backend; others take the reference")
    }
}

/// What a backward pass needs to know of the forward pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupNormSilu {
    /// Groups of channels.
    pub groups: usize,
    /// What stands beside the variance under the root.
    pub epsilon: f32,
    /// Whether SiLU follows.
    pub silu: bool,
}

/// Group normalisation over `groups` groups of channels with affine `gamma`, `beta`, then SiLU if `silu`.
///
/// - `x`: `[b, c, h, w]`; `gamma`, `beta`: `[c]`; returns the shape of `x`
/// - moments per item and group, biased variance, `epsilon` under the root
///
/// The backward pass on the CPU computes moments again rather than keep what lies between.
///
/// Source: Wu and He 2018, "Group Normalization"; the pair opens every convolution of the MaskGIT-VQGAN.
///
/// # Panics
/// If `groups` does not divide the channels: a shape error, as in any tensor operation.
pub fn group_norm_silu(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    groups: usize,
    epsilon: f32,
    silu: bool,
) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    assert!(groups > 0 && c % groups == 0, "group_norm_silu: {groups} groups do not divide {c} channels");
    let device = x.device();
    let kernel = x.dtype() == DType::F32
        && x.shape().num_elements() > 0
        && gamma.dtype() == DType::F32
        && beta.dtype() == DType::F32
        && runs_with_gradients(Kernel::GroupNormSilu, &device);
    if !kernel {
        return group_norm_silu_reference(x, gamma, beta, groups, epsilon, silu);
    }
    let y = Dispatch::group_norm_silu(
        x.reshape([b, c, h * w]).into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        groups,
        epsilon,
        silu,
    );
    Tensor::<3>::from_dispatch(y).reshape([b, c, h, w])
}

/// [`group_norm_silu`] in tensor operations; differentiable.
pub fn group_norm_silu_reference(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    groups: usize,
    epsilon: f32,
    silu: bool,
) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    let grouped = x.reshape([b, groups, c / groups * h * w]);
    let centred = grouped.clone() - grouped.mean_dim(2);
    let variance = centred.clone().powf_scalar(2.0).mean_dim(2);
    let normalised = (centred / (variance + epsilon).sqrt()).reshape([b, c, h, w]);
    let y = normalised * gamma.reshape([1, c, 1, 1]) + beta.reshape([1, c, 1, 1]);
    if silu { activation::silu(y) } else { y }
}

pub(crate) fn rendered(silu: bool) -> Rendered {
    Rendered {
        name: "group_norm_silu",
        template: include_str!("group_norm_silu.wgsl"),
        values: vec![("silu", u32::from(silu)), ("grid_width", GRID_WIDTH)],
        workgroup: 256,
    }
}

fn dims(shape: &Shape) -> [usize; 3] {
    [shape[0], shape[1], shape[2]]
}

impl GroupNormSiluOps for CubeBackend {
    fn group_norm_silu(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        groups: usize,
        epsilon: f32,
        silu: bool,
    ) -> FloatTensor<Self> {
        let shape = x.shape();
        let [b, c, s] = dims(&shape);
        let groups_in_all = (b * groups) as u32;
        let info = [groups_in_all, c as u32, s as u32, groups as u32, epsilon.to_bits()];
        launch(rendered(silu), groups_in_all, vec![x, gamma, beta], shape, DType::F32, &info)
    }
}

impl GroupNormSiluOps for Flex {
    fn group_norm_silu(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        groups: usize,
        epsilon: f32,
        silu: bool,
    ) -> FloatTensor<Self> {
        let (x, gamma, beta) = (flex::contiguous(x), flex::contiguous(gamma), flex::contiguous(beta));
        let shape = x.shape();
        let affine = (flex::values(&gamma), flex::values(&beta));
        let y = cpu::group_norm_silu::group_norm_silu(flex::values(&x), affine, dims(&shape), groups, epsilon, silu);
        flex::tensor(y, shape, DType::F32)
    }

    fn group_norm_silu_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        norm: GroupNormSilu,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [x, gamma, beta] = [x, gamma, beta].map(flex::contiguous);
        let shape = x.shape();
        let affine = (flex::values(&gamma), flex::values(&beta));
        let mut of_affine = [Vec::new(), Vec::new()];
        let of_x = flex::map_in_place(grad, |grad| {
            of_affine = cpu::group_norm_silu_backward::group_norm_silu_backward(
                flex::values(&x),
                affine,
                grad,
                dims(&shape),
                norm,
            );
        });
        let [of_gamma, of_beta] = of_affine.map(|values| flex::tensor(values, gamma.shape(), DType::F32));
        (of_x, of_gamma, of_beta)
    }
}

impl<B: GroupNormSiluOps, C: CheckpointStrategy> GroupNormSiluOps for Autodiff<B, C> {
    fn group_norm_silu(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        groups: usize,
        epsilon: f32,
        silu: bool,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gamma.node(), beta.node()];
        match Derived.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let saved = [prep.checkpoint(&x), prep.checkpoint(&gamma), prep.checkpoint(&beta)];
                let [x, gamma, beta] = [x, gamma, beta].map(|tensor| tensor.into_primitive());
                let y = B::group_norm_silu(x, gamma, beta, groups, epsilon, silu);
                prep.finish((saved, GroupNormSilu { groups, epsilon, silu }), y)
            }
            OpsKind::UnTracked(prep) => {
                let [x, gamma, beta] = [x, gamma, beta].map(|tensor| tensor.into_primitive());
                prep.finish(B::group_norm_silu(x, gamma, beta, groups, epsilon, silu))
            }
        }
    }
}

#[derive(Debug)]
struct Derived;

impl<B: GroupNormSiluOps> Backward<B, 3> for Derived {
    type State = ([NodeId; 3], GroupNormSilu);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, saved: &mut Checkpointer) {
        let (nodes, norm) = ops.state;
        let [x, gamma, beta] = nodes.map(|node| saved.retrieve_node_output::<FloatTensor<B>>(node));
        let grad = grads.consume::<B>(&ops.node);
        let (of_x, of_gamma, of_beta) = B::group_norm_silu_backward(x, gamma, beta, grad, norm);
        for (parent, gradient) in ops.parents.into_iter().zip([of_x, of_gamma, of_beta]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}
