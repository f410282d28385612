//! Noisy context learning.

use burn::tensor::{Tensor, TensorData};
use rand_distr::{Distribution as _, StandardNormal};
use tessera_layers::Trace;

use super::network::thousandths;
use super::{XarNetwork, XarPrompt};

/// The draws of chance of a training step.
#[derive(Debug, Clone)]
pub struct XarDraws {
    /// Time of each entity of each item, entity after entity: `[entities * rows]`, in 0..=1; 1 is pure noise.
    pub times: Vec<f32>,
    /// Noise `[rows, positions, channels]` in entity order.
    pub noise: Tensor<3>,
}

/// Draws times (logit-normal) and noise for `rows` items.
pub fn draw(network: &XarNetwork, rows: usize, channels: usize, rng: &mut impl rand::Rng) -> XarDraws {
    let entities = network.entities();
    let mut normal = || -> f32 { StandardNormal.sample(rng) };
    let times = (0..entities.ranges().len() * rows).map(|_| 1.0 / (1.0 + (-normal()).exp())).collect();
    let shape = [rows, entities.len(), channels];
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| normal()).collect();
    XarDraws { times, noise: Tensor::from_data(TensorData::new(values, shape), &network.device()) }
}

/// Leaves out prompts with a chance of `share`.
pub fn drop_prompts(prompts: &mut [XarPrompt], share: f32, rng: &mut impl rand::Rng) {
    for prompt in prompts {
        if rng.random::<f32>() < share {
            *prompt = prompt.without();
        }
    }
}

/// What a training step comes to.
#[derive(Debug, Clone)]
pub struct XarLoss {
    /// Noisy input `[rows, positions, channels]` in entity order.
    pub noisy: Tensor<3>,
    /// Noise less data.
    pub target: Tensor<3>,
    /// What the network makes of it.
    pub velocity: Tensor<3>,
    /// Mean squared error of each entity, `[entities]`.
    pub by_entity: Tensor<1>,
    /// Mean squared error over everything, `[1]`.
    pub loss: Tensor<1>,
}

/// The flow-matching loss of latents `[rows, grid positions, channels]`, row by row: every entity is learnt at a time of its own, with
/// the entities before it as noisy as they were drawn.
///
/// Source: Ren et al. 2025 (arXiv 2502.20388), noisy context learning. Reports what [`XarNetwork::whole`] does, and `time_embed`, to
/// `trace`.
pub fn loss(
    network: &XarNetwork,
    latents: Tensor<3>,
    prompts: &[XarPrompt],
    draws: &XarDraws,
    trace: &mut Trace,
) -> XarLoss {
    let entities = network.entities();
    let (rows, count, device) = (prompts.len(), entities.ranges().len(), network.device());
    let data = network.in_order(latents);
    let of_places = (0..rows).flat_map(|row| {
        entities.ranges().iter().enumerate().flat_map(move |(entity, range)| {
            let time = draws.times.get(entity * rows + row).copied().unwrap_or(0.0);
            std::iter::repeat_n(time, range.len())
        })
    });
    let of_places = TensorData::new(of_places.collect::<Vec<f32>>(), [rows, entities.len(), 1]);
    let times = Tensor::<3>::from_data(of_places, &device);
    let noise = draws.noise.clone();
    let noisy = (times.clone().neg() + 1.0) * data.clone() + times * noise.clone();
    let target = noise - data;
    let seen: Vec<u32> = draws.times.iter().map(|&time| thousandths(time)).collect();
    let vectors = network.time_vectors(&seen); // [entities * rows, width]
    trace.see("time_embed", || vectors.clone());
    let [_, width] = vectors.dims();
    let conditions = vectors.reshape([count, rows, width]).swap_dims(0, 1)
        + network.prompt_vectors(prompts).reshape([rows, 1, width]);
    let velocity = network.whole(noisy.clone(), conditions, trace);
    let squares = (velocity.clone() - target.clone()).square();
    let of_entity = entities.ranges().iter().map(|range| squares.clone().narrow(1, range.start, range.len()).mean());
    let by_entity = Tensor::cat(of_entity.collect(), 0);
    XarLoss { noisy, target, velocity, by_entity, loss: squares.mean() }
}
