//! Finite scalar quantization: bound, round, index and back: checks, dispatch and launch.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Int, Shape, Tensor, TensorData};
use burn_wgpu::CubeBackend;

use crate::active::{Kernel, runs, runs_with_gradients};
use crate::launch::{GRID_WIDTH, Rendered, WORKGROUP, launch, launch_many};
use crate::{cpu, flex};

/// Keeps the bound strictly inside the outermost rounding boundaries; the constant of every release.
const EPSILON: f32 = 1e-3;

/// Most dimensions of a code.
pub const MAX_FSQ_DIM: usize = 16;

/// Most levels of a dimension: with more, [`FsqScale::half`] leads to levels beyond the outermost.
pub const MAX_FSQ_LEVEL: u32 = 1000;

/// The constants of one dimension of `level` levels: half the range, the offset of even levels, the shift that makes zero
/// map to level `level / 2`, and the width that codes are divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FsqScale {
    /// `(level - 1) * (1 + 1e-3) / 2`.
    pub half: f32,
    /// 0.5 for an even number of levels, else 0.
    pub offset: f32,
    /// `atanh(offset / half)`.
    pub shift: f32,
    /// `level / 2`, rounded down.
    pub width: f32,
}

impl FsqScale {
    /// The constants for `level` levels, 2 or more.
    pub fn of(level: u32) -> Self {
        let half = (level as f32 - 1.0) * (1.0 + EPSILON) / 2.0;
        let offset = if level.is_multiple_of(2) { 0.5 } else { 0.0 };
        Self { half, offset, shift: (offset / half).atanh(), width: (level / 2) as f32 }
    }
}

/// Backend side of [`fsq`] and [`fsq_codes`]. Only the CPU has the backward pass.
#[backend_extension(Cube, Flex, Autodiff, Fusion)]
pub trait FsqOps: Backend {
    /// `z [rows, dims] -> ([rows, dims], [rows])`, f32 and i32.
    #[fusion(meta = |z, _levels| (z.clone(), ids_like(z)))]
    fn fsq_kernel(z: FloatTensor<Self>, levels: Vec<u32>) -> (FloatTensor<Self>, IntTensor<Self>);

    /// The gradient of `z` from that of the codes.
    #[fusion(default)]
    fn fsq_kernel_backward(_z: FloatTensor<Self>, _grad: FloatTensor<Self>, _levels: Vec<u32>) -> FloatTensor<Self> {
        unreachable!("fsq: gradients are computed on the CPU backend; others take the reference")
    }

    /// `ids [rows] -> [rows, dims]`, i32 and f32.
    #[fusion(dtype = { let _ = ids; DType::F32 }, shape = Shape::new([ids[0], levels.len()]))]
    fn fsq_codes_kernel(ids: IntTensor<Self>, levels: Vec<u32>) -> FloatTensor<Self>;
}

fn ids_like(z: &TensorSpec) -> TensorSpec {
    TensorSpec { shape: Shape::new([z.shape[0]]), dtype: DType::I32 }
}

/// Quantizes each row of `z [rows, dims]` to one of `levels[d]` levels in each dimension.
///
/// Returns the codes `[rows, dims]`, levels divided by their half width, and the indices `[rows]` with the first dimension
/// fastest. The gradient passes the rounding straight through: it is that of the bound.
///
/// Source: Mentzer et al. 2023 (arXiv 2309.15505), as FlexTok has it.
///
/// # Panics
/// If `levels` has not one entry of 2 to [`MAX_FSQ_LEVEL`] for each dimension, more than [`MAX_FSQ_DIM`], or their product
/// exceeds `i32`: a shape error, as in any tensor operation.
pub fn fsq(z: Tensor<2>, levels: &[u32]) -> (Tensor<2>, Tensor<1, Int>) {
    check(z.dims()[1], levels);
    let kernel =
        z.dtype() == DType::F32 && z.shape().num_elements() > 0 && runs_with_gradients(Kernel::Fsq, &z.device());
    if !kernel {
        return fsq_reference(z, levels);
    }
    let (codes, ids) = Dispatch::fsq_kernel(z.into_dispatch(), levels.to_vec());
    (Tensor::from_dispatch(codes), Tensor::from_dispatch(ids))
}

/// [`fsq`] in tensor operations.
pub fn fsq_reference(z: Tensor<2>, levels: &[u32]) -> (Tensor<2>, Tensor<1, Int>) {
    let [rows, dims] = z.dims();
    let device = z.device();
    let bounded = fsq_bounded(z, levels);
    let whole = bounded.clone().round();
    let rounded = bounded.clone() + (whole.clone() - bounded).detach();
    let width = row(levels, &device, |level| FsqScale::of(level).width);
    let basis = Tensor::<1, Int>::from_data(TensorData::new(basis(levels), [dims]), &device).reshape([1, dims]);
    let digits = (whole.detach() + width.clone()).int();
    let ids = (digits * basis).sum_dim(1).reshape([rows]);
    (rounded / width, ids)
}

/// `tanh(z + shift) * half - offset`: `z [rows, dims]` bounded, before rounding.
pub fn fsq_bounded(z: Tensor<2>, levels: &[u32]) -> Tensor<2> {
    let device = z.device();
    let constant = |value: fn(FsqScale) -> f32| row(levels, &device, |level| value(FsqScale::of(level)));
    (z + constant(|scale| scale.shift)).tanh() * constant(|scale| scale.half) - constant(|scale| scale.offset)
}

/// The codes `[rows, dims]` of indices `[rows]`, each `0..` the product of the levels.
///
/// # Panics
/// As [`fsq`].
pub fn fsq_codes(ids: Tensor<1, Int>, levels: &[u32]) -> Tensor<2> {
    check(levels.len(), levels);
    if ids.dtype() == DType::I32 && ids.dims()[0] > 0 && !levels.is_empty() && runs(Kernel::Fsq, &ids.device()) {
        Tensor::from_dispatch(Dispatch::fsq_codes_kernel(ids.into_dispatch(), levels.to_vec()))
    } else {
        fsq_codes_reference(ids, levels)
    }
}

/// [`fsq_codes`] in tensor operations.
pub fn fsq_codes_reference(ids: Tensor<1, Int>, levels: &[u32]) -> Tensor<2> {
    let ([rows], device, dims) = (ids.dims(), ids.device(), levels.len());
    let whole = |values: Vec<i32>| {
        Tensor::<1, Int>::from_data(TensorData::new(values, [dims]), &device).reshape([1, dims]).expand([rows, dims])
    };
    let quotients = ids.reshape([rows, 1]).expand([rows, dims]) / whole(basis(levels));
    let digits = quotients % whole(levels.iter().map(|&level| level as i32).collect());
    let width = row(levels, &device, |level| FsqScale::of(level).width);
    (digits.float() - width.clone()) / width
}

/// What one step of each dimension adds to an index.
fn basis(levels: &[u32]) -> Vec<i32> {
    let next = |step: &mut i32, &level: &u32| {
        let this = *step;
        *step = step.wrapping_mul(level as i32);
        Some(this)
    };
    levels.iter().scan(1, next).collect()
}

fn row(levels: &[u32], device: &burn::tensor::Device, value: impl Fn(u32) -> f32) -> Tensor<2> {
    let values: Vec<f32> = levels.iter().map(|&level| value(level)).collect();
    Tensor::from_data(TensorData::new(values, [1, levels.len()]), device)
}

fn check(dims: usize, levels: &[u32]) {
    let codes = levels.iter().try_fold(1_i32, |codes, &level| codes.checked_mul(i32::try_from(level).ok()?));
    assert!(
        levels.len() == dims
            && dims <= MAX_FSQ_DIM
            && levels.iter().all(|level| (2..=MAX_FSQ_LEVEL).contains(level))
            && codes.is_some(),
        "fsq: levels {levels:?} for {dims} dimensions"
    );
}

pub(crate) fn rendered(to_codes: bool) -> Rendered {
    let template = if to_codes { include_str!("fsq_codes.wgsl") } else { include_str!("fsq.wgsl") };
    let name = if to_codes { "fsq_codes" } else { "fsq" };
    Rendered { name, template, values: vec![("grid_width", GRID_WIDTH)], workgroup: WORKGROUP }
}

/// What the templates know: rows, dims, then for each dimension the level and the bits of its [`FsqScale`].
fn info(rows: usize, levels: &[u32]) -> Vec<u32> {
    let constants = levels.iter().flat_map(|&level| {
        let FsqScale { half, offset, shift, width } = FsqScale::of(level);
        [level, half.to_bits(), offset.to_bits(), shift.to_bits(), width.to_bits()]
    });
    [rows as u32, levels.len() as u32].into_iter().chain(constants).collect()
}

impl FsqOps for CubeBackend {
    fn fsq_kernel(z: FloatTensor<Self>, levels: Vec<u32>) -> (FloatTensor<Self>, IntTensor<Self>) {
        let shape = z.shape();
        let rows = shape[0];
        let outputs = [(shape, DType::F32), (Shape::new([rows]), DType::I32)];
        let groups = (rows as u32).div_ceil(WORKGROUP);
        let [codes, ids] = launch_many(rendered(false), groups, vec![z], outputs, &info(rows, &levels));
        (codes, ids)
    }

    fn fsq_codes_kernel(ids: IntTensor<Self>, levels: Vec<u32>) -> FloatTensor<Self> {
        let rows = ids.shape()[0];
        let (shape, groups) = (Shape::new([rows, levels.len()]), (rows as u32).div_ceil(WORKGROUP));
        launch(rendered(true), groups, vec![ids], shape, DType::F32, &info(rows, &levels))
    }
}

impl FsqOps for Flex {
    fn fsq_kernel(z: FloatTensor<Self>, levels: Vec<u32>) -> (FloatTensor<Self>, IntTensor<Self>) {
        let rows = z.shape()[0];
        let mut ids = Vec::new();
        let codes = flex::map_in_place(z, |z| ids = cpu::fsq::fsq(z, &levels));
        (codes, flex::tensor(ids, Shape::new([rows]), DType::I32))
    }

    fn fsq_kernel_backward(z: FloatTensor<Self>, grad: FloatTensor<Self>, levels: Vec<u32>) -> FloatTensor<Self> {
        let z = flex::contiguous(z);
        flex::map_in_place(grad, |grad| cpu::fsq::fsq_backward(flex::values(&z), grad, &levels))
    }

    fn fsq_codes_kernel(ids: IntTensor<Self>, levels: Vec<u32>) -> FloatTensor<Self> {
        let ids = flex::contiguous(ids);
        let rows = ids.shape()[0];
        let codes = cpu::fsq::fsq_codes(&ids.storage::<i32>()[..rows], &levels);
        flex::tensor(codes, Shape::new([rows, levels.len()]), DType::F32)
    }
}

impl<B: FsqOps, C: CheckpointStrategy> FsqOps for Autodiff<B, C> {
    fn fsq_kernel(z: FloatTensor<Self>, levels: Vec<u32>) -> (FloatTensor<Self>, IntTensor<Self>) {
        match Fsq.prepare::<C>([z.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&z), levels.clone());
                let (codes, ids) = B::fsq_kernel(z.into_primitive(), levels);
                (prep.finish(state, codes), ids)
            }
            OpsKind::UnTracked(prep) => {
                let (codes, ids) = B::fsq_kernel(z.into_primitive(), levels);
                (prep.finish(codes), ids)
            }
        }
    }

    fn fsq_codes_kernel(ids: IntTensor<Self>, levels: Vec<u32>) -> FloatTensor<Self> {
        <Self as AutodiffBackend>::from_inner(B::fsq_codes_kernel(ids, levels))
    }
}

#[derive(Debug)]
struct Fsq;

impl<B: FsqOps> Backward<B, 1> for Fsq {
    type State = (NodeId, Vec<u32>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, saved: &mut Checkpointer) {
        let (z, levels) = ops.state;
        let z = saved.retrieve_node_output::<FloatTensor<B>>(z);
        unary::<B, _>(ops.parents, ops.node, grads, |grad| B::fsq_kernel_backward(z, grad, levels));
    }
}
