//! A guided Euler step of flow sampling: checks and dispatch.

use burn::tensor::Tensor;

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
    euler_step_reference(x, cond, uncond, running, step)
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
