//! Draws that several files need.

use std::f64::consts::TAU;

use rand::Rng;

/// Uniform in `low..high`.
pub(super) fn between(low: f64, high: f64, chance: &mut impl Rng) -> f64 {
    low + (high - low) * chance.random::<f64>()
}

/// Normally distributed with mean 0 and deviation 1 (Box and Muller 1958).
pub(super) fn gaussian(chance: &mut impl Rng) -> f64 {
    // In (0, 1], of which there is a logarithm.
    let radius = (-2.0 * (1.0 - chance.random::<f64>()).ln()).sqrt();
    radius * (TAU * chance.random::<f64>()).cos()
}
