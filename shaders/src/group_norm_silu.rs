//! Group normalisation followed by SiLU in one pass: checks, dispatch and launch.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Shape, Tensor, activation};
use burn_wgpu::CubeBackend;

use crate::active::{Kernel, runs};
use crate::launch::{GRID_WIDTH, Rendered, launch};
use crate::{cpu, flex};

/// Backend side of [`group_norm_silu`]. It has no backward pass: a tensor on an autodiff device takes the
/// reference, whose operations have one.
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
}

/// Group normalisation over `groups` groups of channels with affine `gamma`, `beta`, then SiLU if `silu`.
///
/// - `x`: `[b, c, h, w]`; `gamma`, `beta`: `[c]`; returns the shape of `x`
/// - moments per item and group, biased variance, `epsilon` under the root
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
        && !device.is_autodiff()
        && runs(Kernel::GroupNormSilu, &device);
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
}

impl<B: GroupNormSiluOps, C: CheckpointStrategy> GroupNormSiluOps for Autodiff<B, C> {
    fn group_norm_silu(
        _x: FloatTensor<Self>,
        _gamma: FloatTensor<Self>,
        _beta: FloatTensor<Self>,
        _groups: usize,
        _epsilon: f32,
        _silu: bool,
    ) -> FloatTensor<Self> {
        unreachable!("group_norm_silu sends tensors on an autodiff device to its reference")
    }
}
