//! Features of points on three planes: checks, dispatch and launch.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{DType, Int, Shape, Tensor};
use burn_wgpu::CubeBackend;

use crate::active::{Kernel, runs};
use crate::launch::{GRID_WIDTH, Rendered, WORKGROUP, launch};
use crate::{cpu, flex};

/// Which coordinates run along the columns and the rows of each plane: (x, y), (x, z), (y, z).
pub(crate) const AXES: [[usize; 2]; 3] = [[0, 1], [0, 2], [1, 2]];

/// Texels of a tile of the gradient's shader in each direction, and channels of its block.
const TILE: usize = 16;
const BLOCK: usize = 32;

/// What becomes of the features of the three planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaneMerge {
    /// They stand side by side: xy, xz, yz.
    Concat,
    /// They are added.
    Sum,
}

/// Sizes of one call of [`triplane_sample`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TriplaneGeometry {
    /// Items.
    pub batch: usize,
    /// Points of an item.
    pub points: usize,
    /// Channels of a plane.
    pub channels: usize,
    /// Rows of a plane.
    pub height: usize,
    /// Columns of a plane.
    pub width: usize,
    /// What becomes of the planes' features.
    pub merge: PlaneMerge,
}

impl TriplaneGeometry {
    /// Features of a point.
    pub fn features(&self) -> usize {
        match self.merge {
            PlaneMerge::Concat => 3 * self.channels,
            PlaneMerge::Sum => self.channels,
        }
    }

    fn features_shape(&self) -> Shape {
        Shape::new([self.batch, self.points, self.features()])
    }

    fn planes_shape(&self) -> Shape {
        Shape::new([self.batch, 3, self.channels, self.height, self.width])
    }
}

/// Backend side of [`triplane_sample`].
#[backend_extension(Cube, Flex, Autodiff, Fusion)]
pub trait TriplaneSampleOps: Backend {
    /// `planes [b, 3, c, h, w]` and `points [b, n, 3]` to features `[b, n, f]`; nothing is empty.
    #[fusion(dtype = planes, shape = { let _ = (planes, points); geometry.features_shape() })]
    fn triplane_sample_kernel(
        planes: FloatTensor<Self>,
        points: FloatTensor<Self>,
        geometry: TriplaneGeometry,
    ) -> FloatTensor<Self>;

    /// The gradient `[b, 3, c, h, w]` of the planes from that of the features, `grad [b, n, f]`.
    #[fusion(dtype = grad, shape = { let _ = (points, grad); geometry.planes_shape() })]
    fn triplane_sample_gradient(
        points: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        geometry: TriplaneGeometry,
    ) -> FloatTensor<Self>;
}

/// Features of points on three planes, bilinear between texel centres.
///
/// - `planes`: `[b, 3, c, h, w]`: (x, y), (x, z), (y, z); the first coordinate runs along the columns, the second along the rows
/// - `points`: `[b, n, 3]` in -1..=1; texel `i` of a side of `s` stands at `(2 i + 1) / s - 1`, and what lies outside the
///   outermost texels takes their values
/// - returns `[b, n, 3 c]` (xy, xz, yz side by side) or `[b, n, c]` (added), as `merge` says
///
/// Gradients flow to the planes and not to the points. Both shaders and the CPU add in a fixed order, so that a training can be
/// repeated to the bit.
///
/// Source: Chan et al. 2022, "Efficient Geometry-aware 3D Generative Adversarial Networks" (arXiv 2112.07945), section 3.1.
///
/// # Panics
/// If shapes do not fit: a shape error, as in any tensor operation.
pub fn triplane_sample(planes: Tensor<5>, points: Tensor<3>, merge: PlaneMerge) -> Tensor<3> {
    let geometry = geometry(&planes, &points, merge);
    let (planes_in_all, features_in_all) = (planes.shape().num_elements(), geometry.features_shape().num_elements());
    let f32_only = planes.dtype() == DType::F32 && points.dtype() == DType::F32;
    let some = planes_in_all > 0 && features_in_all > 0;
    // The shaders count in 32 bits.
    let countable = planes_in_all.max(features_in_all).max(3 * geometry.batch * geometry.points) < 1 << 31;
    if f32_only && some && countable && runs(Kernel::TriplaneSample, &planes.device()) {
        let points = beside(points, &planes);
        Tensor::from_dispatch(Dispatch::triplane_sample_kernel(
            planes.into_dispatch(),
            points.into_dispatch(),
            geometry,
        ))
    } else {
        triplane_sample_reference(planes, points, merge)
    }
}

/// [`triplane_sample`] in tensor operations: four gathers for each plane.
///
/// # Panics
/// As [`triplane_sample`].
pub fn triplane_sample_reference(planes: Tensor<5>, points: Tensor<3>, merge: PlaneMerge) -> Tensor<3> {
    let geometry @ TriplaneGeometry { batch, points: n, channels, height, width, .. } =
        geometry(&planes, &points, merge);
    if geometry.features_shape().num_elements() == 0 || height * width == 0 {
        return Tensor::zeros(geometry.features_shape(), &planes.device());
    }
    let points = beside(points, &planes);
    // The texels before and behind each point, `[b, 1, n]`, and how far it is from the first.
    let between = |axis: usize, side: usize| {
        let last = side.saturating_sub(1) as f64;
        let at = points.clone().narrow(2, axis, 1).reshape([batch, 1, n]).add_scalar(1.0).mul_scalar(side as f64);
        let at = at.sub_scalar(1.0).mul_scalar(0.5).clamp(0.0, last);
        let low = at.clone().floor();
        (low.clone().int(), low.clone().add_scalar(1.0).clamp(0.0, last).int(), at - low)
    };
    let sampled = (0_usize..).zip(AXES).map(|(plane, [column, row])| {
        let texels = planes.clone().narrow(1, plane, 1).reshape([batch, channels, height * width]);
        let ((left, right, s), (upper, lower, t)) = (between(column, width), between(row, height));
        let at = |row: &Tensor<3, Int>, column: &Tensor<3, Int>| {
            let index = row.clone().mul_scalar(width as i64) + column.clone();
            texels.clone().gather(2, index.repeat_dim(1, channels))
        };
        let mix = |a: Tensor<3>, b: Tensor<3>, share: &Tensor<3>| a.clone() + (b - a) * share.clone();
        let above = mix(at(&upper, &left), at(&upper, &right), &s);
        let below = mix(at(&lower, &left), at(&lower, &right), &s);
        mix(above, below, &t).swap_dims(1, 2) // [b, n, channels]
    });
    match merge {
        PlaneMerge::Concat => Tensor::cat(sampled.collect(), 2),
        PlaneMerge::Sum => sampled.fold(Tensor::zeros([batch, n, channels], &planes.device()), |sum, part| sum + part),
    }
}

fn geometry(planes: &Tensor<5>, points: &Tensor<3>, merge: PlaneMerge) -> TriplaneGeometry {
    let ([batch, count, channels, height, width], [items, n, coordinates]) = (planes.dims(), points.dims());
    assert!(
        count == 3 && coordinates == 3 && items == batch,
        "triplane_sample: points {:?} do not fit planes {:?}",
        points.dims(),
        planes.dims()
    );
    TriplaneGeometry { batch, points: n, channels, height, width, merge }
}

/// Points as constants on the device of the planes, tracking or not as they do.
fn beside(points: Tensor<3>, planes: &Tensor<5>) -> Tensor<3> {
    match (planes.device().is_autodiff(), points.device().is_autodiff()) {
        (true, false) => points.autodiff(),
        (false, true) => points.inner(),
        _ => points.detach(),
    }
}

pub(crate) fn rendered(merge: PlaneMerge) -> Rendered {
    Rendered {
        name: "triplane_sample",
        template: include_str!("triplane_sample.wgsl"),
        values: vec![("sum", u32::from(merge == PlaneMerge::Sum)), ("grid_width", GRID_WIDTH)],
        workgroup: WORKGROUP,
    }
}

pub(crate) fn rendered_gradient(merge: PlaneMerge) -> Rendered {
    Rendered {
        name: "triplane_sample_gradient",
        template: include_str!("triplane_sample_gradient.wgsl"),
        workgroup: (TILE * TILE) as u32,
        ..rendered(merge)
    }
}

/// Every permutation of both templates.
pub(crate) fn all() -> impl Iterator<Item = Rendered> {
    [PlaneMerge::Concat, PlaneMerge::Sum].into_iter().flat_map(|merge| [rendered(merge), rendered_gradient(merge)])
}

impl TriplaneSampleOps for CubeBackend {
    fn triplane_sample_kernel(
        planes: FloatTensor<Self>,
        points: FloatTensor<Self>,
        geometry: TriplaneGeometry,
    ) -> FloatTensor<Self> {
        let shape = geometry.features_shape();
        let features = shape.num_elements() as u32;
        let TriplaneGeometry { points: n, channels, height, width, .. } = geometry;
        let info = [features, n as u32, channels as u32, height as u32, width as u32];
        let kernel = rendered(geometry.merge);
        launch(kernel, features.div_ceil(WORKGROUP), vec![planes, points], shape, DType::F32, &info)
    }

    fn triplane_sample_gradient(
        points: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        geometry: TriplaneGeometry,
    ) -> FloatTensor<Self> {
        let TriplaneGeometry { batch, points: n, channels, height, width, merge } = geometry;
        let tiles = height.div_ceil(TILE) * width.div_ceil(TILE) * channels.div_ceil(BLOCK);
        let workgroups = (batch * 3 * tiles) as u32;
        let info = [workgroups, n as u32, channels as u32, height as u32, width as u32];
        let shape = geometry.planes_shape();
        launch(rendered_gradient(merge), workgroups, vec![points, grad], shape, DType::F32, &info)
    }
}

impl TriplaneSampleOps for Flex {
    fn triplane_sample_kernel(
        planes: FloatTensor<Self>,
        points: FloatTensor<Self>,
        geometry: TriplaneGeometry,
    ) -> FloatTensor<Self> {
        let [planes, points] = [planes, points].map(flex::contiguous);
        let features = cpu::triplane_sample::triplane_sample(flex::values(&planes), flex::values(&points), &geometry);
        flex::tensor(features, geometry.features_shape(), DType::F32)
    }

    fn triplane_sample_gradient(
        points: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        geometry: TriplaneGeometry,
    ) -> FloatTensor<Self> {
        let [points, grad] = [points, grad].map(flex::contiguous);
        let gradient =
            cpu::triplane_sample::triplane_sample_gradient(flex::values(&points), flex::values(&grad), &geometry);
        flex::tensor(gradient, geometry.planes_shape(), DType::F32)
    }
}

impl<B: TriplaneSampleOps, C: CheckpointStrategy> TriplaneSampleOps for Autodiff<B, C> {
    fn triplane_sample_kernel(
        planes: FloatTensor<Self>,
        points: FloatTensor<Self>,
        geometry: TriplaneGeometry,
    ) -> FloatTensor<Self> {
        let points = points.into_primitive();
        match Sampled.prepare::<C>([planes.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let y = B::triplane_sample_kernel(planes.into_primitive(), points.clone(), geometry);
                prep.finish((points, geometry), y)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::triplane_sample_kernel(planes.into_primitive(), points, geometry))
            }
        }
    }

    fn triplane_sample_gradient(
        _points: FloatTensor<Self>,
        _grad: FloatTensor<Self>,
        _geometry: TriplaneGeometry,
    ) -> FloatTensor<Self> {
        unreachable!("gradients are computed on the inner backend")
    }
}

#[derive(Debug)]
struct Sampled;

impl<B: TriplaneSampleOps> Backward<B, 1> for Sampled {
    type State = (FloatTensor<B>, TriplaneGeometry);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _saved: &mut Checkpointer) {
        let (points, geometry) = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |grad| B::triplane_sample_gradient(points, grad, geometry));
    }
}
