//! A guided Euler step of flow sampling: checks, dispatch and launch.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Tensor};
use burn_wgpu::CubeBackend;

use crate::active::{Kernel, KernelState, kernel_status};
use crate::launch::{GRID_WIDTH, Rendered, launch_many};
use crate::{cpu, flex};

/// Guidance and length of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EulerStep {
    /// How far time goes down.
    pub dt: f32,
    /// Guidance scale; 1 takes the conditional velocity as it is.
    pub guidance: f32,
    /// Adaptive projected guidance instead of the plain difference.
    pub projection: Option<Projection>,
}

/// Adaptive projected guidance (Sadat et al. 2024, arXiv 2410.02416), applied to velocities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Projection {
    /// Weight of the part of the difference that is parallel to the conditional velocity.
    pub eta: f32,
    /// Weight of the running difference of earlier steps; 0 keeps none.
    pub momentum: f32,
    /// Largest norm of the difference of an item; 0 does not limit it.
    pub norm_threshold: f32,
}

impl Default for Projection {
    /// FlexTok's: eta 0, momentum -0.5, threshold 2.5.
    fn default() -> Self {
        Self { eta: 0.0, momentum: -0.5, norm_threshold: 2.5 }
    }
}

/// Backend side of [`euler_step`]; tensors `[batch, channels, height, width]`, all of one shape. It has no backward pass: a
/// tensor on an autodiff device takes the reference, whose operations have one.
#[backend_extension(Cube, Flex, Autodiff, Fusion)]
pub trait EulerStepOps: Backend {
    /// The step with plain guidance, on the CPU; a GPU fuses the reference's operations.
    #[fusion(default)]
    fn euler_step_plain(
        _x: FloatTensor<Self>,
        _cond: FloatTensor<Self>,
        _uncond: FloatTensor<Self>,
        _step: EulerStep,
    ) -> FloatTensor<Self> {
        unreachable!("euler_step: plain guidance has a kernel on the CPU backend; others take the reference")
    }

    /// The step with projected guidance: the next `x` and the running difference. `running` is read if `continues`.
    #[fusion(meta = |x, _cond, _uncond, _running, _continues, _step, _projection| (x.clone(), x.clone()))]
    fn euler_step_projected(
        x: FloatTensor<Self>,
        cond: FloatTensor<Self>,
        uncond: FloatTensor<Self>,
        running: FloatTensor<Self>,
        continues: bool,
        step: EulerStep,
        projection: Projection,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// `x - dt * v`, where `v` is the velocity that guidance makes of a conditional and an unconditional one.
///
/// - `x`, `cond`, `uncond`: `[batch, channels, height, width]`; without `uncond` the conditional velocity is taken as it is
/// - `running`: the running difference that the step before returned; `None` at the first step
/// - returns the next `x` and the running difference, the latter with a projection only
///
/// Plain guidance: `v = u + s (c - u)`. Projected: `d = (c - u) + momentum * running`, kept as the running difference, then
/// shortened to the norm threshold; `p` its part parallel to `c`; `v = c + (s - 1) ((d - p) + eta p)`. Norms and projections
/// are taken item by item.
///
/// # Panics
/// If shapes differ: a shape error, as in any tensor operation.
pub fn euler_step(
    x: Tensor<4>,
    cond: Tensor<4>,
    uncond: Option<Tensor<4>>,
    running: Option<Tensor<4>>,
    step: &EulerStep,
) -> (Tensor<4>, Option<Tensor<4>>) {
    for other in [Some(&cond), uncond.as_ref(), running.as_ref()].into_iter().flatten() {
        assert!(other.dims() == x.dims(), "euler_step: {:?} does not fit {:?}", other.dims(), x.dims());
    }
    let tensors = [Some(&x), Some(&cond), uncond.as_ref(), running.as_ref()];
    let f32_only = tensors.into_iter().flatten().all(|tensor| tensor.dtype() == DType::F32);
    let (device, some) = (x.device(), x.shape().num_elements() > 0);
    let status = kernel_status(Kernel::EulerStep, &device);
    if !f32_only || !some || device.is_autodiff() || !status.is_kernel() {
        return euler_step_reference(x, cond, uncond, running, step);
    }
    match (uncond, step.projection) {
        (Some(uncond), Some(projection)) => {
            let continues = running.is_some();
            let running = running.unwrap_or_else(|| cond.clone());
            let (next, difference) = Dispatch::euler_step_projected(
                x.into_dispatch(),
                cond.into_dispatch(),
                uncond.into_dispatch(),
                running.into_dispatch(),
                continues,
                *step,
                projection,
            );
            (Tensor::from_dispatch(next), Some(Tensor::from_dispatch(difference)))
        }
        (uncond, _) if status == KernelState::Cpu => {
            // Without an unconditional velocity a scale of one between equals leaves the conditional one.
            let guidance = if uncond.is_some() { step.guidance } else { 1.0 };
            let uncond = uncond.unwrap_or_else(|| cond.clone());
            let step = EulerStep { guidance, ..*step };
            let [x, cond, uncond] = [x, cond, uncond].map(Tensor::into_dispatch);
            (Tensor::from_dispatch(Dispatch::euler_step_plain(x, cond, uncond, step)), None)
        }
        (uncond, _) => euler_step_reference(x, cond, uncond, running, step),
    }
}

/// [`euler_step`] in tensor operations.
pub fn euler_step_reference(
    x: Tensor<4>,
    cond: Tensor<4>,
    uncond: Option<Tensor<4>>,
    running: Option<Tensor<4>>,
    step: &EulerStep,
) -> (Tensor<4>, Option<Tensor<4>>) {
    let Some(uncond) = uncond else {
        return (x - cond.mul_scalar(step.dt), None);
    };
    let difference = cond.clone() - uncond.clone();
    let Some(projection) = step.projection else {
        let velocity = uncond + difference.mul_scalar(step.guidance);
        return (x - velocity.mul_scalar(step.dt), None);
    };
    let shape = cond.dims();
    let [batch, ..] = shape;
    let difference = match running {
        Some(running) => difference + running.mul_scalar(projection.momentum),
        None => difference,
    };
    let rows = |x: Tensor<4>| x.reshape([batch as i32, -1]);
    let (mut d, c) = (rows(difference.clone()), rows(cond));
    if projection.norm_threshold > 0.0 {
        let norm = d.clone().square().sum_dim(1).sqrt();
        // A zero difference gives infinity, and the factor one.
        d = d * norm.recip().mul_scalar(projection.norm_threshold).clamp_max(1.0);
    }
    let square = c.clone().square().sum_dim(1).clamp_min(1e-24);
    let parallel = c.clone() * ((d.clone() * c.clone()).sum_dim(1) / square);
    let kept = d - parallel.mul_scalar(1.0 - projection.eta);
    let velocity = (c + kept.mul_scalar(step.guidance - 1.0)).reshape(shape);
    (x - velocity.mul_scalar(step.dt), Some(difference))
}

pub(crate) fn rendered() -> Rendered {
    Rendered {
        name: "euler_step",
        template: include_str!("euler_step.wgsl"),
        values: vec![("grid_width", GRID_WIDTH)],
        workgroup: 256,
    }
}

impl EulerStepOps for CubeBackend {
    fn euler_step_projected(
        x: FloatTensor<Self>,
        cond: FloatTensor<Self>,
        uncond: FloatTensor<Self>,
        running: FloatTensor<Self>,
        continues: bool,
        step: EulerStep,
        projection: Projection,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let shape = x.shape();
        let (items, count) = (shape[0] as u32, (shape.num_elements() / shape[0]) as u32);
        let Projection { eta, momentum, norm_threshold } = projection;
        let [dt, guidance, eta, momentum, threshold] =
            [step.dt, step.guidance, eta, momentum, norm_threshold].map(f32::to_bits);
        let info = [items, count, u32::from(continues), dt, guidance, eta, momentum, threshold];
        let outputs = [(shape.clone(), DType::F32), (shape, DType::F32)];
        let [next, difference] = launch_many(rendered(), items, vec![x, cond, uncond, running], outputs, &info);
        (next, difference)
    }
}

impl EulerStepOps for Flex {
    fn euler_step_plain(
        x: FloatTensor<Self>,
        cond: FloatTensor<Self>,
        uncond: FloatTensor<Self>,
        step: EulerStep,
    ) -> FloatTensor<Self> {
        let (cond, uncond) = (flex::contiguous(cond), flex::contiguous(uncond));
        let EulerStep { dt, guidance, .. } = step;
        flex::map_in_place(x, |x| {
            cpu::euler_step::euler_step(x, flex::values(&cond), flex::values(&uncond), dt, guidance);
        })
    }

    fn euler_step_projected(
        x: FloatTensor<Self>,
        cond: FloatTensor<Self>,
        uncond: FloatTensor<Self>,
        running: FloatTensor<Self>,
        continues: bool,
        step: EulerStep,
        projection: Projection,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (cond, uncond) = (flex::contiguous(cond), flex::contiguous(uncond));
        let shape = x.shape();
        let count = shape.num_elements() / shape[0];
        let running =
            if continues { running } else { flex::tensor(vec![0.0f32; shape.num_elements()], shape, DType::F32) };
        let mut next = None;
        let difference = flex::map_in_place(running, |running| {
            let step = (step, projection);
            next = Some(flex::map_in_place(x, |x| {
                let (cond, uncond) = (flex::values(&cond), flex::values(&uncond));
                cpu::euler_step::euler_step_projected(x, cond, uncond, running, count, step);
            }));
        });
        (next.expect("the step was made"), difference)
    }
}

impl<B: EulerStepOps, C: CheckpointStrategy> EulerStepOps for Autodiff<B, C> {
    fn euler_step_projected(
        _x: FloatTensor<Self>,
        _cond: FloatTensor<Self>,
        _uncond: FloatTensor<Self>,
        _running: FloatTensor<Self>,
        _continues: bool,
        _step: EulerStep,
        _projection: Projection,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("euler_step sends tensors on an autodiff device to its reference")
    }
}
