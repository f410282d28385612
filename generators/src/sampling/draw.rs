//! Drawing ids that stay on the device.

use burn::tensor::{Int, Tensor};
use tessera_shaders::{Chance, Filter, guided, sample_logits};

use super::Sampling;

/// An id for each row of logits `[rows, codes]`, `[rows]`, values `0..codes`; neither logits nor ids leave the device.
///
/// With `unconditional` logits and a `scale` above 1, logits are `u + scale * (c - u)`. A temperature of 0 takes the first of
/// the most likely ids. The draw depends on `seed`, `step` and the row alone.
pub fn draw(
    conditional: Tensor<2>,
    unconditional: Option<Tensor<2>>,
    scale: f32,
    sampling: Sampling,
    seed: u64,
    step: u64,
) -> Tensor<1, Int> {
    let temperature = sampling.temperature.unwrap_or(1.0);
    if temperature == 0.0 {
        return guided(conditional, unconditional, scale).argmax(1).flatten(0, 1);
    }
    let filter = Filter { temperature, top_k: sampling.top_k.unwrap_or(0), top_p: sampling.top_p.unwrap_or(1.0) };
    sample_logits(conditional, unconditional, scale, filter, Chance::Counter { seed, step })
}
