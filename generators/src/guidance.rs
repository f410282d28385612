//! How strongly a condition is followed while a sequence grows.

use serde::{Deserialize, Serialize};

/// The scale of classifier-free guidance at each step of a sequence; 1 asks for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GuidanceSchedule {
    /// The same at every step (LlamaGen, NAR).
    #[default]
    Constant,
    /// From 1 at the first step to the scale at the last (xAR).
    Linear,
    /// From 1 at the first step to the scale half way, then constant (Token-Shuffle).
    HalfLinear,
}

impl GuidanceSchedule {
    /// The scale at step `step` of `steps`, for a target of `scale`. A sequence of one step takes the target.
    ///
    /// Sources: xAR's released sampler (`Linear`); Token-Shuffle, arXiv 2504.17789 (`HalfLinear`; where exactly the half lies is
    /// tessera's choice: the target is reached at step `steps / 2`).
    pub fn scale(self, scale: f64, step: usize, steps: usize) -> f64 {
        let rise = |last: f64| match last > 0.0 {
            true => (step as f64 / last).min(1.0),
            false => 1.0,
        };
        let share = match self {
            Self::Constant => 1.0,
            Self::Linear => rise(steps.saturating_sub(1) as f64),
            Self::HalfLinear => rise(steps as f64 / 2.0),
        };
        1.0 + (scale - 1.0) * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_rise_to_the_scale() {
        let all = |schedule: GuidanceSchedule, steps| -> Vec<f64> {
            (0..steps).map(|step| schedule.scale(3.0, step, steps)).collect()
        };
        assert_eq!(all(GuidanceSchedule::Constant, 3), [3.0, 3.0, 3.0]);
        assert_eq!(all(GuidanceSchedule::Linear, 5), [1.0, 1.5, 2.0, 2.5, 3.0]);
        assert_eq!(all(GuidanceSchedule::HalfLinear, 4), [1.0, 2.0, 3.0, 3.0]);
        assert_eq!(all(GuidanceSchedule::Linear, 1), [3.0]);
    }
}
