//! Sampling the rectified flow: from noise to latents in Euler steps.

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use tessera_layers::Trace;
use tessera_shaders::{EulerStep, Projection, counts_keys, euler_step};

use super::{Condition, FlexTokNetwork, Modulation, Registers};

/// How strongly the condition is followed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Guidance {
    /// The same scale at every step; 1 asks for no guidance, and then the unconditional pass is left out.
    Constant(f32),
    /// `base + slope * t`, with time from 1 (noise) to 0.
    Linear {
        /// Scale at time 0.
        base: f32,
        /// What is added at time 1.
        slope: f32,
    },
    /// A scale for each step, the first for the step that begins at time 1; the last one holds for steps beyond the list.
    Steps(Vec<f32>),
}

impl Guidance {
    /// The scale of step `index` of all, which begins at time `t`.
    pub fn scale(&self, index: usize, t: f32) -> f32 {
        match self {
            Self::Constant(scale) => *scale,
            Self::Linear { base, slope } => base + slope * t,
            Self::Steps(scales) => scales.get(index).or(scales.last()).copied().unwrap_or(1.0),
        }
    }

    fn is_active(&self) -> bool {
        *self != Self::Constant(1.0)
    }
}

/// Everything that sampling depends on beside tokens and noise.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowSampling {
    /// Euler steps, 1 or more, of equal length from time 1 to 0.
    pub steps: usize,
    /// Guidance.
    pub guidance: Guidance,
    /// Adaptive projected guidance; `None` for plain guidance.
    pub projection: Option<Projection>,
}

/// What a sampling tells after each step.
pub struct FlowStep<'a> {
    /// Steps done.
    pub done: usize,
    /// Steps in all.
    pub steps: usize,
    /// Latents before the step, `[batch, channels, h, w]`.
    pub before: &'a Tensor<4>,
    /// Latents after it.
    pub latents: &'a Tensor<4>,
}

impl FlowStep<'_> {
    /// The clean latents that the flow heads for: where the last velocity leads by time 0.
    pub fn estimate(&self) -> Tensor<4> {
        let left = (self.steps - self.done) as f64;
        self.latents.clone() + (self.latents.clone() - self.before.clone()).mul_scalar(left)
    }
}

/// Samples scaled latents.
///
/// - `codes`: `[batch, registers, dims]`, of which row `i` is conditioned on the first `keep[i]`
/// - `noise`: `[batch, channels, h, w]`, standard normal: the latents at time 1
/// - `on_step` may end the sampling; what the flow heads for by then ([`FlowStep::estimate`]) is returned
///
/// On a GPU conditional and unconditional rows go through the decoder in one batch. On the CPU each goes through without
/// the registers that repeat others ([`FlexDecoder::counted_registers`](super::FlexDecoder::counted_registers)), which halves
/// the work at few tokens. Source: FlexTok (arXiv 2502.13967) section 3.
pub fn sample_flow(
    network: &FlexTokNetwork,
    codes: Tensor<3>,
    keep: &[usize],
    noise: Tensor<4>,
    sampling: &FlowSampling,
    on_step: &mut dyn FnMut(&FlowStep) -> ControlFlow<()>,
) -> Tensor<4> {
    let rows = Rows::new(network, codes, keep, sampling.guidance.is_active());
    let steps = sampling.steps.max(1);
    let times: Vec<f32> = (0..steps).map(|index| (steps - index) as f32 / steps as f32).collect();
    let modulation = network.decoder().modulation(&times, &noise.device(), &mut Trace::none());
    let (mut x, mut running) = (noise, None);
    for (index, t) in times.into_iter().enumerate() {
        let (cond, uncond) = rows.velocities(network, x.clone(), |batch| modulation.of_row(index, batch));
        let step = EulerStep {
            dt: 1.0 / steps as f32,
            guidance: sampling.guidance.scale(index, t),
            projection: sampling.projection,
        };
        let before = x.clone();
        (x, running) = euler_step(x, cond, uncond, running, &step);
        let told = FlowStep { done: index + 1, steps, before: &before, latents: &x };
        if on_step(&told).is_break() {
            return told.estimate();
        }
    }
    x
}

/// What the decoder reads beside the latents, which is the same in every step.
#[allow(clippy::large_enum_variant, reason = "made once for a sampling")]
enum Rows {
    /// Conditional rows, and unconditional ones behind them where there is guidance.
    Together { registers: Registers, batch: usize, guided: bool },
    /// Registers without repetitions, of which unconditional rows have a single one: apart they are less work.
    Apart { conditional: Registers, unconditional: Option<Registers> },
}

impl Rows {
    fn new(network: &FlexTokNetwork, codes: Tensor<3>, keep: &[usize], guided: bool) -> Self {
        let (decoder, batch) = (network.decoder(), keep.len());
        let mut conditions: Vec<Condition> = keep.iter().map(|&keep| Condition::Tokens(keep)).collect();
        if !decoder.is_causal() && counts_keys(&codes.device()) {
            let null = vec![Condition::Null; batch];
            return Self::Apart {
                conditional: decoder.counted_registers(codes.clone(), &conditions),
                unconditional: guided.then(|| decoder.counted_registers(codes, &null)),
            };
        }
        let codes = if guided {
            conditions.extend(std::iter::repeat_n(Condition::Null, batch));
            codes.repeat_dim(0, 2)
        } else {
            codes
        };
        Self::Together { registers: decoder.registers(codes, &conditions, &mut Trace::none()), batch, guided }
    }

    /// The conditional and, where there is guidance, the unconditional velocity, with the modulation of so many rows.
    fn velocities(
        &self,
        network: &FlexTokNetwork,
        x: Tensor<4>,
        modulation: impl Fn(usize) -> Modulation,
    ) -> (Tensor<4>, Option<Tensor<4>>) {
        let velocity = |x: Tensor<4>, registers: &Registers| {
            let modulation = modulation(x.dims()[0]);
            network.decoder().modulated_velocity(x, registers.clone(), modulation, None, &mut Trace::none()).0
        };
        match self {
            Self::Apart { conditional, unconditional } => {
                let uncond = unconditional.as_ref().map(|registers| velocity(x.clone(), registers));
                (velocity(x, conditional), uncond)
            }
            Self::Together { registers, guided: false, .. } => (velocity(x, registers), None),
            Self::Together { registers, batch, .. } => {
                let both = velocity(x.repeat_dim(0, 2), registers);
                (both.clone().narrow(0, 0, *batch), Some(both.narrow(0, *batch, *batch)))
            }
        }
    }
}

/// Standard normal noise `[items, channels, h, w]`. An item's noise depends on `seed` and its index alone, which counts from
/// `first`: the same however items are grouped into batches, on every device.
pub fn flow_noise(seed: u64, first: u64, shape: [usize; 4], device: &Device) -> Tensor<4> {
    let [items, rest @ ..] = shape;
    let count: usize = rest.iter().product();
    let mut values = Vec::with_capacity(items * count);
    for item in (first..).take(items) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(item);
        values.extend((0..count).map(|_| -> f32 { StandardNormal.sample(&mut rng) }));
    }
    Tensor::from_data(TensorData::new(values, shape), device)
}
