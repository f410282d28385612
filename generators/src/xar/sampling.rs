//! Solving one entity after the other.

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use serde::{Deserialize, Serialize};
use tessera_shaders::guided;

use super::network::thousandths;
use super::{XarNetwork, XarPrompt};
use crate::{GeneratorError, GuidanceSchedule};

/// How an entity is solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Solver {
    /// Euler-Maruyama, the release's default: noise is added at every step but the last.
    #[default]
    Sde,
    /// Plain Euler.
    Ode,
}

/// How a sequence is sampled.
#[derive(Debug, Clone, PartialEq)]
pub struct XarPlan {
    /// Solver steps of an entity, at least 2.
    pub steps: usize,
    /// Guidance of the last entity; up to 1 there is none.
    pub scale: f32,
    /// How guidance grows over the entities.
    pub schedule: GuidanceSchedule,
    /// The solver.
    pub solver: Solver,
}

/// Where noise comes from.
pub trait Noise {
    /// Standard normal numbers `[rows, size, channels]` that entity `entity` starts from (`step` is `None`), or that are added at
    /// a step.
    fn draw(&mut self, entity: usize, step: Option<usize>, shape: [usize; 3]) -> Tensor<3>;
}

/// Noise from a seed: an item's depends on the seed and its index alone, the same in whatever batch it is generated.
#[derive(Debug)]
pub struct SeededNoise {
    rows: Vec<ChaCha8Rng>,
    device: Device,
}

impl SeededNoise {
    /// Noise for `rows` items.
    pub fn new(seed: u64, rows: usize, device: &Device) -> Self {
        let of_row = |row: usize| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(row as u64);
            rng
        };
        Self { rows: (0..rows).map(of_row).collect(), device: device.clone() }
    }
}

impl Noise for SeededNoise {
    fn draw(&mut self, _entity: usize, _step: Option<usize>, shape: [usize; 3]) -> Tensor<3> {
        let count = shape[1] * shape[2];
        let mut values: Vec<f32> = Vec::with_capacity(self.rows.len() * count);
        for rng in &mut self.rows {
            values.extend((0..count).map(|_| -> f32 { StandardNormal.sample(rng) }));
        }
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }
}

/// The times of the solver's steps, from 1, pure noise, down; the SDE's last step ends at 0 from 0.04.
pub fn times(solver: Solver, steps: usize) -> Vec<f64> {
    let (end, gaps) = match solver {
        Solver::Sde => (0.04, steps.saturating_sub(1)),
        Solver::Ode => (0.0, steps),
    };
    let even = |step: usize| 1.0 + (end - 1.0) * step as f64 / gaps.max(1) as f64;
    (0..steps).map(even).collect()
}

/// What the solver sees on its way.
pub struct Seen<'a> {
    /// The entity.
    pub entity: usize,
    /// The step.
    pub step: usize,
    /// The state as it enters the step, `[rows, size, channels]`.
    pub state: &'a Tensor<3>,
    /// The network's output: conditional rows, then unconditional ones, where they were asked for.
    pub velocity: &'a Tensor<3>,
}

/// Hears of steps and finished entities.
pub struct Listener<'a> {
    /// Hears of every step of the solver.
    pub on_step: &'a mut dyn FnMut(&Seen<'_>),
    /// Hears of the entities finished so far, `[rows, positions so far, channels]` in entity order; may stop.
    pub on_entity: &'a mut dyn FnMut(usize, &Tensor<3>) -> ControlFlow<()>,
}

/// Guidance of each entity.
pub fn scales(network: &XarNetwork, plan: &XarPlan) -> Vec<f32> {
    let count = network.entities().ranges().len();
    (0..count).map(|entity| plan.schedule.scale(f64::from(plan.scale), entity, count) as f32).collect()
}

/// Generates a sequence `[rows, positions, channels]` in entity order. Entities of `given` (the same shape) that `stays` marks are taken
/// as they are. `both` runs unconditional rows even where nothing is guided, as the release does.
///
/// # Errors
/// [`GeneratorError::Stopped`] if the listener asked to stop.
pub fn sample(
    network: &XarNetwork,
    prompts: &[XarPrompt],
    plan: &XarPlan,
    (given, stays): (Option<&Tensor<3>>, &[bool]),
    both: bool,
    noise: &mut dyn Noise,
    listener: &mut Listener<'_>,
) -> Result<Tensor<3>, GeneratorError> {
    let rows = prompts.len();
    let is_guided = both || (plan.scale > 1.0 && !prompts.iter().all(XarPrompt::is_empty));
    let mut all = prompts.to_vec();
    if is_guided {
        all.extend(prompts.iter().map(XarPrompt::without));
    }
    let doubled = |x: &Tensor<3>| match is_guided {
        true => Tensor::cat(vec![x.clone(), x.clone()], 0),
        false => x.clone(),
    };
    let prompts = network.prompt_vectors(&all); // [all rows, width]
    let condition = |time: u32| prompts.clone() + network.time_vectors(&[time]);
    let (mut caches, channels) = (network.caches(all.len()), network.channels());
    let (times, scales) = (times(plan.solver, plan.steps), scales(network, plan));
    let ranges = network.entities().ranges().to_vec();
    let mut found: Vec<Tensor<3>> = Vec::with_capacity(ranges.len());
    for (entity, range) in ranges.iter().enumerate() {
        let shape = [rows, range.len(), channels];
        let kept = given.filter(|_| stays.get(entity).copied().unwrap_or(false));
        let finished = match kept {
            Some(given) => given.clone().narrow(1, range.start, range.len()),
            None => {
                let mut x = noise.draw(entity, None, shape);
                for (step, &time) in times.iter().enumerate() {
                    let time_seen = thousandths(time as f32);
                    let velocity = network.entity(doubled(&x), condition(time_seen), entity, false, &mut caches);
                    (listener.on_step)(&Seen { entity, step, state: &x, velocity: &velocity });
                    let scale = scales.get(entity).copied().unwrap_or(1.0);
                    let v = guided_rows(velocity, rows, scale);
                    let next = times.get(step + 1).copied().unwrap_or(0.0);
                    x = match plan.solver {
                        Solver::Ode => x + v.mul_scalar(next - time),
                        Solver::Sde => {
                            // The drift is v - t score with score = -(x + (1 - t) v) / t, that is (2 - t) v + x.
                            let gap = next - time;
                            let moved = x.mul_scalar(1.0 + gap) + v.mul_scalar((2.0 - time) * gap);
                            match step + 1 < times.len() {
                                true => {
                                    let spread = (2.0 * time).sqrt() * gap.abs().sqrt();
                                    moved + noise.draw(entity, Some(step), shape).mul_scalar(spread)
                                }
                                false => moved,
                            }
                        }
                    };
                }
                x
            }
        };
        if entity + 1 < ranges.len() {
            // Later entities see it clean.
            network.entity(doubled(&finished), condition(0), entity, true, &mut caches);
        }
        found.push(finished);
        let so_far = Tensor::cat(found.clone(), 1);
        if (listener.on_entity)(entity, &so_far).is_break() {
            return Err(GeneratorError::Stopped(entity));
        }
    }
    Ok(Tensor::cat(found, 1))
}

/// Guidance of conditional rows by the unconditional ones behind them, where there are any.
fn guided_rows(velocity: Tensor<3>, rows: usize, scale: f32) -> Tensor<3> {
    let [all, ..] = velocity.dims();
    let unconditional = (all > rows).then(|| velocity.clone().narrow(0, rows, rows));
    guided(velocity.narrow(0, 0, rows), unconditional, scale)
}
