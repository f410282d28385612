//! Picture to patch vectors and back: checks, dispatch and launch.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{DType, Shape, Tensor};
use burn_wgpu::CubeBackend;

use crate::active::{Kernel, runs};
use crate::launch::{GRID_WIDTH, Rendered, WORKGROUP, launch};
use crate::{cpu, flex};

/// How the values of one patch follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchOrder {
    /// `(channel, row, column)`: the weight order of a convolution whose stride is its kernel.
    ChannelsFirst,
    /// `(row, column, channel)`: TiTok's single-stage decoder.
    ChannelsLast,
}

/// Sizes of one patchify or unpatchify call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchGeometry {
    /// Pictures.
    pub batch: usize,
    /// Channels of a picture.
    pub channels: usize,
    /// Patches from top to bottom and from left to right.
    pub grid: [usize; 2],
    /// Side of a square patch in pixels.
    pub patch: usize,
    /// Order inside a patch vector.
    pub order: PatchOrder,
}

impl PatchGeometry {
    fn picture_shape(&self) -> Shape {
        let [height, width] = self.grid;
        Shape::new([self.batch, self.channels, height * self.patch, width * self.patch])
    }

    fn patches_shape(&self) -> Shape {
        let [height, width] = self.grid;
        Shape::new([self.batch, height * width, self.patch * self.patch * self.channels])
    }

    /// Values in one row of the grid of patches.
    pub(crate) fn row_of_patches(&self) -> usize {
        self.grid[1] * self.patch * self.patch * self.channels
    }

    /// Calls `run(pixel, patch, length, stride)` for every horizontal run of pixels inside one patch:
    /// pixels `pixel..pixel + length` of the picture stand at `patch + i * stride` of this grid row.
    pub(crate) fn for_each_run(&self, grid_row: usize, mut run: impl FnMut(usize, usize, usize, usize)) {
        let [grid_height, grid_width] = self.grid;
        let (p, channels) = (self.patch, self.channels);
        let (item, gy) = (grid_row / grid_height, grid_row % grid_height);
        let width = grid_width * p;
        for channel in 0..channels {
            for row in 0..p {
                let line = ((item * channels + channel) * grid_height * p + gy * p + row) * width;
                for gx in 0..grid_width {
                    let start = gx * p * p * channels;
                    let (at, stride) = match self.order {
                        PatchOrder::ChannelsFirst => (start + channel * p * p + row * p, 1),
                        PatchOrder::ChannelsLast => (start + row * p * channels + channel, channels),
                    };
                    run(line + gx * p, at, p, stride);
                }
            }
        }
    }

    fn info(&self) -> [u32; 5] {
        let elements = self.picture_shape().num_elements();
        [elements, self.channels, self.grid[0], self.grid[1], self.patch].map(|x| x as u32)
    }
}

/// Backend side of [`patchify`] and [`unpatchify`]; each is the gradient of the other.
#[backend_extension(Cube, Flex, Autodiff, Fusion)]
pub trait PatchifyOps: Backend {
    /// See [`patchify`].
    #[fusion(dtype = picture, shape = { let _ = picture; geometry.patches_shape() })]
    fn patchify(picture: FloatTensor<Self>, geometry: PatchGeometry) -> FloatTensor<Self>;

    /// See [`unpatchify`].
    #[fusion(dtype = patches, shape = { let _ = patches; geometry.picture_shape() })]
    fn unpatchify(patches: FloatTensor<Self>, geometry: PatchGeometry) -> FloatTensor<Self>;
}

/// Cuts pictures into patch vectors: `[b, c, gh * patch, gw * patch] -> [b, gh * gw, patch * patch * c]`,
/// patches row by row.
///
/// # Panics
/// If `patch` does not divide height and width: a shape error, as in any tensor operation.
pub fn patchify(picture: Tensor<4>, patch: usize, order: PatchOrder) -> Tensor<3> {
    let geometry = picture_geometry(&picture, patch, order);
    if picture.dtype() == DType::F32 && runs(Kernel::Patchify, &picture.device()) {
        Tensor::from_dispatch(Dispatch::patchify(picture.into_dispatch(), geometry))
    } else {
        patchify_reference(picture, patch, order)
    }
}

/// [`patchify`] as reshape, permute, reshape.
pub fn patchify_reference(picture: Tensor<4>, patch: usize, order: PatchOrder) -> Tensor<3> {
    let PatchGeometry { batch, channels, grid: [gh, gw], .. } = picture_geometry(&picture, patch, order);
    let split = picture.reshape([batch, channels, gh, patch, gw, patch]);
    let ordered = match order {
        PatchOrder::ChannelsFirst => split.permute([0, 2, 4, 1, 3, 5]),
        PatchOrder::ChannelsLast => split.permute([0, 2, 4, 3, 5, 1]),
    };
    ordered.reshape([batch, gh * gw, channels * patch * patch])
}

/// Puts patch vectors back into pictures: `[b, gh * gw, patch * patch * c] -> [b, c, gh * patch, gw * patch]`.
///
/// # Panics
/// If the patches are not `gh * gw` vectors of whole channels: a shape error, as in any tensor operation.
pub fn unpatchify(patches: Tensor<3>, grid: [usize; 2], patch: usize, order: PatchOrder) -> Tensor<4> {
    let geometry = patches_geometry(&patches, grid, patch, order);
    if patches.dtype() == DType::F32 && runs(Kernel::Patchify, &patches.device()) {
        Tensor::from_dispatch(Dispatch::unpatchify(patches.into_dispatch(), geometry))
    } else {
        unpatchify_reference(patches, grid, patch, order)
    }
}

/// [`unpatchify`] as reshape, permute, reshape.
pub fn unpatchify_reference(patches: Tensor<3>, grid: [usize; 2], patch: usize, order: PatchOrder) -> Tensor<4> {
    let PatchGeometry { batch, channels, grid: [gh, gw], .. } = patches_geometry(&patches, grid, patch, order);
    let ordered = match order {
        PatchOrder::ChannelsFirst => {
            patches.reshape([batch, gh, gw, channels, patch, patch]).permute([0, 3, 1, 4, 2, 5])
        }
        PatchOrder::ChannelsLast => {
            patches.reshape([batch, gh, gw, patch, patch, channels]).permute([0, 5, 1, 3, 2, 4])
        }
    };
    ordered.reshape([batch, channels, gh * patch, gw * patch])
}

fn picture_geometry(picture: &Tensor<4>, patch: usize, order: PatchOrder) -> PatchGeometry {
    let [batch, channels, height, width] = picture.dims();
    assert!(
        patch > 0 && height % patch == 0 && width % patch == 0,
        "patchify: a {height}x{width} picture does not divide into {patch}x{patch} patches"
    );
    PatchGeometry { batch, channels, grid: [height / patch, width / patch], patch, order }
}

fn patches_geometry(patches: &Tensor<3>, grid: [usize; 2], patch: usize, order: PatchOrder) -> PatchGeometry {
    let [batch, count, length] = patches.dims();
    let area = patch * patch;
    assert!(
        count == grid[0] * grid[1] && area > 0 && length % area == 0,
        "unpatchify: {count} patches of length {length} do not fill a {}x{} grid of {patch}x{patch} patches",
        grid[0],
        grid[1]
    );
    PatchGeometry { batch, channels: length / area, grid, patch, order }
}

pub(crate) fn rendered(to_picture: bool, order: PatchOrder) -> Rendered {
    let channels_last = order == PatchOrder::ChannelsLast;
    Rendered {
        name: "patchify",
        template: include_str!("patchify.wgsl"),
        values: vec![
            ("to_picture", u32::from(to_picture)),
            ("channels_last", u32::from(channels_last)),
            ("grid_width", GRID_WIDTH),
        ],
        workgroup: WORKGROUP,
    }
}

impl PatchifyOps for CubeBackend {
    fn patchify(picture: FloatTensor<Self>, geometry: PatchGeometry) -> FloatTensor<Self> {
        permute(picture, geometry, false)
    }

    fn unpatchify(patches: FloatTensor<Self>, geometry: PatchGeometry) -> FloatTensor<Self> {
        permute(patches, geometry, true)
    }
}

fn permute(input: FloatTensor<CubeBackend>, geometry: PatchGeometry, to_picture: bool) -> FloatTensor<CubeBackend> {
    let shape = if to_picture { geometry.picture_shape() } else { geometry.patches_shape() };
    let info = geometry.info();
    let kernel = rendered(to_picture, geometry.order);
    launch(kernel, info[0].div_ceil(WORKGROUP), vec![input], shape, DType::F32, &info)
}

impl PatchifyOps for Flex {
    fn patchify(picture: FloatTensor<Self>, geometry: PatchGeometry) -> FloatTensor<Self> {
        let picture = flex::contiguous(picture);
        let patches = cpu::patchify::patchify(flex::values(&picture), &geometry);
        flex::tensor(patches, geometry.patches_shape(), DType::F32)
    }

    fn unpatchify(patches: FloatTensor<Self>, geometry: PatchGeometry) -> FloatTensor<Self> {
        let patches = flex::contiguous(patches);
        let picture = cpu::patchify::unpatchify(flex::values(&patches), &geometry);
        flex::tensor(picture, geometry.picture_shape(), DType::F32)
    }
}

impl<B: PatchifyOps, C: CheckpointStrategy> PatchifyOps for Autodiff<B, C> {
    fn patchify(picture: FloatTensor<Self>, geometry: PatchGeometry) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Patchify;
        impl<B: PatchifyOps> Backward<B, 1> for Patchify {
            type State = PatchGeometry;
            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                unary::<B, _>(ops.parents, ops.node, grads, |grad| B::unpatchify(grad, ops.state));
            }
        }
        let (primitive, node) = picture.into_parts();
        match Patchify.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(geometry, B::patchify(primitive, geometry)),
            OpsKind::UnTracked(prep) => prep.finish(B::patchify(primitive, geometry)),
        }
    }

    fn unpatchify(patches: FloatTensor<Self>, geometry: PatchGeometry) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Unpatchify;
        impl<B: PatchifyOps> Backward<B, 1> for Unpatchify {
            type State = PatchGeometry;
            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                unary::<B, _>(ops.parents, ops.node, grads, |grad| B::patchify(grad, ops.state));
            }
        }
        let (primitive, node) = patches.into_parts();
        match Unpatchify.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(geometry, B::unpatchify(primitive, geometry)),
            OpsKind::UnTracked(prep) => prep.finish(B::unpatchify(primitive, geometry)),
        }
    }
}
