//! Learning rate and averaging decay, step by step.

use super::OptimizerConfig;

/// Learning rate of step `step` of `steps` (counted from 0): linear from zero, then along a cosine down to the final rate.
///
/// Source: One-D-Piece's and TiTok's training code (`end + (base - end) * 0.5 * (1 + cos(pi * progress))`).
pub fn learning_rate(config: &OptimizerConfig, step: u64, steps: u64) -> f64 {
    let warmup = config.warmup_steps.min(steps);
    if step < warmup {
        return config.learning_rate * (step + 1) as f64 / warmup as f64;
    }
    let progress = (step - warmup) as f64 / (steps - warmup).max(1) as f64;
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
    config.final_learning_rate + (config.learning_rate - config.final_learning_rate) * cosine
}

/// Decay of the averaged weights at update `update` (counted from 1): 0 at the first, then `min(decay, t / (t + 9))`.
///
/// Source: TiTok's `EMAModel`.
pub fn ema_decay(decay: f64, update: u64) -> f64 {
    if update <= 1 { 0.0 } else { decay.min(update as f64 / (update as f64 + 9.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_rises_then_falls_to_its_end() {
        let config = OptimizerConfig {
            learning_rate: 1e-3,
            final_learning_rate: 1e-5,
            warmup_steps: 10,
            ..OptimizerConfig::default()
        };
        let rate = |step| learning_rate(&config, step, 110);
        assert!((rate(0) - 1e-4).abs() < 1e-12 && (rate(9) - 1e-3).abs() < 1e-12);
        assert!((rate(60) - (1e-5 + 0.99e-3 / 2.0)).abs() < 1e-9);
        assert!((10..109).all(|step| rate(step + 1) <= rate(step)));
        assert!(rate(109) < 1.1e-5 + 1e-6 && learning_rate(&config, 3, 2).is_finite());
    }

    #[test]
    fn average_starts_from_the_first_weights() {
        assert_eq!(ema_decay(0.999, 1), 0.0);
        assert_eq!(ema_decay(0.999, 9), 0.5);
        assert_eq!(ema_decay(0.999, 1_000_000), 0.999);
    }
}
