//! Pictures of a condition: in one pass, or in Euler steps from noise.

use burn::tensor::Tensor;
use tessera_shaders::{EulerStep, euler_step};

use super::decoder::{PixelCondition, PixelDecoder};
use crate::flextok::Guidance;

/// How a flow is sampled.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelSampling {
    /// Euler steps, 1 or more, of equal length from time 1 to 0.
    pub steps: usize,
    /// Guidance; a constant scale of 1 leaves the unconditional pass out.
    pub guidance: Guidance,
}

/// Pictures `[batch, 3, side, side]`, nominally in -1..=1: from `noise` of the same shape where the decoder is a flow, which others
/// take no notice of.
pub fn sample_pixels(
    decoder: &PixelDecoder,
    condition: PixelCondition,
    noise: Tensor<4>,
    sampling: &PixelSampling,
) -> Tensor<4> {
    if let Some(pictures) = decoder.pictures(condition.clone()) {
        return pictures;
    }
    let ([batch, ..], steps) = (noise.dims(), sampling.steps.max(1));
    let is_guided = sampling.guidance != Guidance::Constant(1.0);
    let condition = match is_guided {
        true => {
            let null = decoder.null_condition(batch);
            PixelCondition {
                context: Tensor::cat(vec![condition.context, null.context], 0),
                pooled: Tensor::cat(vec![condition.pooled, null.pooled], 0),
                spread: condition.spread.map(|spread| Tensor::cat(vec![spread.clone(), spread.zeros_like()], 0)),
            }
        }
        false => condition,
    };
    let mut x = noise;
    for index in 0..steps {
        let t = (steps - index) as f32 / steps as f32;
        let rows = if is_guided { x.clone().repeat_dim(0, 2) } else { x.clone() };
        let times = vec![t; rows.dims()[0]];
        let Some(velocity) = decoder.velocity(rows, condition.clone(), &times) else { break };
        let (cond, uncond) = match is_guided {
            true => (velocity.clone().narrow(0, 0, batch), Some(velocity.narrow(0, batch, batch))),
            false => (velocity, None),
        };
        let step = EulerStep { dt: 1.0 / steps as f32, guidance: sampling.guidance.scale(index, t), projection: None };
        (x, _) = euler_step(x, cond, uncond, None, &step);
    }
    x
}
