//! Index of the nearest codebook row: checks, dispatch and launch.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Int, Shape, Tensor};
use burn_wgpu::CubeBackend;

use crate::active::{Kernel, runs};
use crate::launch::{GRID_WIDTH, Rendered, launch};
use crate::{cpu, flex};

/// Widest code vector that the WGSL kernel takes; wider ones go to [`nearest_code_reference`].
pub const MAX_CODE_DIM: usize = 128;

/// Rows of the distance matrix that the reference holds at a time.
const REFERENCE_ROWS: usize = 1024;

/// Backend side of [`nearest_code`].
#[backend_extension(Cube, Flex, Autodiff, Fusion)]
pub trait NearestCodeOps: Backend {
    /// `[n, d] x [v, d] -> [n]`, both f32 and on one device, `n` and `v` at least 1.
    #[fusion(dtype = { let _ = latents; DType::I32 }, shape = index_shape(latents))]
    fn nearest_code(latents: FloatTensor<Self>, codebook: FloatTensor<Self>) -> IntTensor<Self>;
}

fn index_shape(latents: &Shape) -> Shape {
    Shape::new([latents[0]])
}

/// Index of the codebook row nearest to each latent by squared Euclidean distance; the lower index wins ties.
///
/// - `latents`: `[n, d]`
/// - `codebook`: `[v, d]`, `v >= 1`
/// - returns `[n]`, values `0..v`
///
/// For the cosine variant (`use_l2_norm` of TiTok, LlamaGen) normalise both sides first: on the unit
/// sphere the nearest row by distance is the nearest by angle. No gradient flows through an index.
///
/// Source: van den Oord et al. 2017, "Neural Discrete Representation Learning", equation 1.
pub fn nearest_code(latents: Tensor<2>, codebook: Tensor<2>) -> Tensor<1, Int> {
    let [n, dim] = latents.dims();
    let kernel = n > 0
        && dim <= MAX_CODE_DIM
        && latents.dtype() == DType::F32
        && codebook.dtype() == DType::F32
        && runs(Kernel::NearestCode, &latents.device());
    if kernel {
        Tensor::from_dispatch(Dispatch::nearest_code(latents.into_dispatch(), codebook.into_dispatch()))
    } else {
        nearest_code_reference(latents, codebook)
    }
}

/// [`nearest_code`] in tensor operations, a thousand rows of the distance matrix at a time.
pub fn nearest_code_reference(latents: Tensor<2>, codebook: Tensor<2>) -> Tensor<1, Int> {
    let [n, _] = latents.dims();
    let codes = codebook.clone().powf_scalar(2.0).sum_dim(1).transpose(); // [1, v]
    let transposed = codebook.transpose();
    let parts = (0..n.max(1))
        .step_by(REFERENCE_ROWS)
        .map(|start| {
            let rows = latents.clone().slice([start..(start + REFERENCE_ROWS).min(n)]);
            let dot = rows.matmul(transposed.clone());
            (codes.clone() - dot.mul_scalar(2.0)).argmin(1).squeeze_dim(1)
        })
        .collect();
    Tensor::cat(parts, 0)
}

pub(crate) fn rendered(dim: usize) -> Rendered {
    let dim = u32::try_from(dim.min(MAX_CODE_DIM)).unwrap_or(1).max(1);
    // rows (8 * DIM) and tile (TILE * DIM) and two reductions stay under 16 KiB of workgroup memory.
    let tile = (2048 / dim).clamp(8, 256);
    Rendered {
        name: "nearest_code",
        template: include_str!("nearest_code.wgsl"),
        values: vec![("dim", dim), ("tile", tile), ("grid_width", GRID_WIDTH)],
        workgroup: 64,
    }
}

impl NearestCodeOps for CubeBackend {
    fn nearest_code(latents: FloatTensor<Self>, codebook: FloatTensor<Self>) -> IntTensor<Self> {
        let (n, v, dim) = (latents.shape()[0], codebook.shape()[0], latents.shape()[1]);
        let info = [n as u32, v as u32];
        let shape = Shape::new([n]);
        let groups = (n as u32).div_ceil(8);
        launch(rendered(dim), groups, vec![latents, codebook], shape, DType::I32, &info)
    }
}

impl NearestCodeOps for Flex {
    fn nearest_code(latents: FloatTensor<Self>, codebook: FloatTensor<Self>) -> IntTensor<Self> {
        let (latents, codebook) = (flex::contiguous(latents), flex::contiguous(codebook));
        let shape = latents.shape();
        let indices = cpu::nearest_code::nearest_code(flex::values(&latents), flex::values(&codebook), shape[1]);
        flex::tensor(indices, Shape::new([shape[0]]), DType::I32)
    }
}

impl<B: NearestCodeOps, C: CheckpointStrategy> NearestCodeOps for Autodiff<B, C> {
    fn nearest_code(latents: FloatTensor<Self>, codebook: FloatTensor<Self>) -> IntTensor<Self> {
        B::nearest_code(latents.into_primitive(), codebook.into_primitive())
    }
}
