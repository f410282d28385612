//! Training losses and draws of FlexTok.
//!
//! Source: arXiv 2502.13967 section 3; noise and lengths as the released classes draw them; alignment after REPA
//! (arXiv 2410.06940).

use burn::tensor::{Int, Tensor, TensorData};
use rand::Rng;
use rand_distr::{Distribution as _, StandardNormal};
use tessera_layers::Trace;

use super::config::{KeepSampling, NoiseConfig};
use super::{Condition, FlexTokConfig, FlexTokNetwork};

/// What chance decides for one item of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlowDraw {
    /// Share of noise, and time: 0 is clean.
    pub sigma: f32,
    /// What the decoder is conditioned on.
    pub condition: Condition,
    /// Whether the codes are rounded.
    pub rounded: bool,
}

/// Draws for a batch: times as the noise module has them, lengths as nested dropout has them, and conditions that are left
/// out for guidance.
pub fn draw(config: &FlexTokConfig, batch: usize, rng: &mut impl Rng) -> Vec<FlowDraw> {
    let sigmas = sigmas(&config.noise, batch, rng);
    sigmas
        .into_iter()
        .map(|sigma| {
            let keep = keep(config.keep, config.registers, rng);
            let is_null = rng.random::<f64>() < config.null_probability;
            let rounded = rng.random::<f64>() >= config.drop_quant_p;
            FlowDraw { sigma, condition: if is_null { Condition::Null } else { Condition::Tokens(keep) }, rounded }
        })
        .collect()
}

fn sigmas(noise: &NoiseConfig, batch: usize, rng: &mut impl Rng) -> Vec<f32> {
    if noise.logit_normal {
        let normals: Vec<f32> = (0..batch).map(|item| standard_normal(noise, item, batch, rng)).collect();
        return normals.into_iter().map(|normal| 1.0 / (1.0 + (-normal).exp())).collect();
    }
    let mode = |u: f64| {
        let cosine = (std::f64::consts::FRAC_PI_2 * u).cos();
        1.0 - u - noise.mode_scale * (cosine * cosine - 1.0 + u)
    };
    (0..batch)
        .map(|_| {
            let u = rng.random::<f64>();
            (if noise.mode_scale == 0.0 { u } else { mode(u) }) as f32
        })
        .collect()
}

/// A standard normal; where stratified, item `i` of `n` draws from the `i`-th of `n` equally likely intervals.
fn standard_normal(noise: &NoiseConfig, item: usize, batch: usize, rng: &mut impl Rng) -> f32 {
    if !noise.stratified {
        return StandardNormal.sample(rng);
    }
    let share = (item as f64 + rng.random::<f64>()) / batch as f64;
    normal_quantile(share.clamp(1e-9, 1.0 - 1e-9)) as f32
}

/// The inverse of the standard normal's distribution function, to about 1e-9 (P. J. Acklam's rational approximation).
fn normal_quantile(share: f64) -> f64 {
    const TAIL: f64 = 0.024_25;
    const A: [f64; 6] = [
        -39.696_830_286_653_76,
        220.946_098_424_520_5,
        -275.928_510_446_968_7,
        138.357_751_867_269,
        -30.664_798_066_147_16,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -54.476_098_798_224_06,
        161.585_836_858_040_9,
        -155.698_979_859_886_6,
        66.801_311_887_719_72,
        -13.280_681_552_885_72,
        1.0,
    ];
    const C: [f64; 6] = [
        -0.007_784_894_002_430_293,
        -0.322_396_458_041_136_5,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] =
        [0.007_784_695_709_041_462, 0.322_467_129_070_039_8, 2.445_134_137_142_996, 3.754_408_661_907_416, 1.0];
    let horner = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |share: f64| {
        let x = (-2.0 * share.ln()).sqrt();
        horner(&C, x) / horner(&D, x)
    };
    if share < TAIL {
        tail(share)
    } else if share > 1.0 - TAIL {
        -tail(1.0 - share)
    } else {
        let x = share - 0.5;
        x * horner(&A, x * x) / horner(&B, x * x)
    }
}

/// How many of `all` tokens are kept.
fn keep(sampling: KeepSampling, all: usize, rng: &mut impl Rng) -> usize {
    match sampling {
        KeepSampling::Uniform => rng.random_range(1..=all),
        KeepSampling::UniformPow2 => rng.random_range(1..=all).next_power_of_two().min(all),
        KeepSampling::Pow2 => {
            let powers = usize::try_from(all.ilog2()).unwrap_or(0) + 1;
            let choices = powers + usize::from(!all.is_power_of_two());
            let choice = rng.random_range(0..choices);
            if choice == powers { all } else { 1 << choice }
        }
    }
}

/// Size of a register up to which the bound of FSQ is far from flat: its hyperbolic tangent is 0.85 there.
pub const LIVELY: f64 = 1.25;

/// The flow-matching loss of a batch and what led to it.
#[derive(Debug, Clone)]
pub struct FlowLoss {
    /// Mean squared error of the velocity.
    pub loss: Tensor<1>,
    /// Noised latents `[batch, channels, h, w]`: `sigma * noise + (1 - sigma) * latents`.
    pub noised: Tensor<4>,
    /// The predicted velocity, of the same shape.
    pub velocity: Tensor<4>,
    /// Token ids `[batch, registers]`.
    pub ids: Tensor<2, Int>,
    /// Mean square of what registers exceed [`LIVELY`] by, before the bound: weighed into the loss, it keeps them where the bound
    /// has a slope. The release has no such term.
    pub excess: Tensor<1>,
    /// Patches `[batch, patches, dim]` as they leave the block that was asked for.
    pub features: Option<Tensor<3>>,
}

/// Encodes scaled latents `[batch, channels, h, w]`, noises them as `draws` say with `noise` of the same shape, and compares
/// the decoder's velocity with `noise - latents`. The autoencoder takes no part. `layer` asks for features of that block.
pub fn flow_loss(
    network: &FlexTokNetwork,
    latents: Tensor<4>,
    noise: Tensor<4>,
    draws: &[FlowDraw],
    layer: Option<usize>,
) -> FlowLoss {
    let registers = network.registers(latents.clone(), &mut Trace::none());
    let (rounded, ids) = network.quantizer().quantize(registers.clone());
    let codes = mix_unrounded(network, rounded, &registers, draws);
    let conditions: Vec<Condition> = draws.iter().map(|draw| draw.condition).collect();
    let sigmas: Vec<f32> = draws.iter().map(|draw| draw.sigma).collect();
    let device = latents.device();
    let sigma = Tensor::<4>::from_data(TensorData::new(sigmas.clone(), [draws.len(), 1, 1, 1]), &device);
    let noised = noise.clone() * sigma.clone() + latents.clone() * (sigma.neg().add_scalar(1.0));

    let decoder = network.decoder();
    let conditioned = decoder.registers(codes, &conditions, &mut Trace::none());
    let modulation = decoder.modulation(&sigmas, &device, &mut Trace::none());
    let (velocity, features) =
        decoder.modulated_velocity(noised.clone(), conditioned, modulation, layer, &mut Trace::none());
    let loss = (velocity.clone() - (noise - latents)).square().mean();
    let excess = registers.clone().abs().sub_scalar(LIVELY).clamp_min(0.0).square().mean();
    FlowLoss { loss, noised, velocity, ids, excess, features }
}

/// Codes that are rounded, or only bounded and divided as codes are where a draw says so.
fn mix_unrounded(network: &FlexTokNetwork, rounded: Tensor<3>, registers: &Tensor<3>, draws: &[FlowDraw]) -> Tensor<3> {
    if draws.iter().all(|draw| draw.rounded) {
        return rounded;
    }
    let shares: Vec<f32> = draws.iter().map(|draw| f32::from(u8::from(draw.rounded))).collect();
    let shares = Tensor::<3>::from_data(TensorData::new(shares, [draws.len(), 1, 1]), &rounded.device());
    let free = network.quantizer().unrounded(registers.clone());
    rounded * shares.clone() + free * shares.neg().add_scalar(1.0)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_quantile_inverts_the_normal_distribution() {
        for (share, expected) in [(0.5, 0.0), (0.975, 1.959_964), (0.01, -2.326_348), (0.999, 3.090_232)] {
            assert!((normal_quantile(share) - expected).abs() < 1e-6, "{share}");
        }
    }

    #[test]
    fn lengths_are_those_of_their_mode() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut drawn = |mode: KeepSampling, all: usize| {
            let mut lengths: Vec<usize> = (0..500).map(|_| keep(mode, all, &mut rng)).collect();
            lengths.sort_unstable();
            lengths.dedup();
            lengths
        };
        assert_eq!(drawn(KeepSampling::Uniform, 5), [1, 2, 3, 4, 5]);
        assert_eq!(drawn(KeepSampling::Pow2, 16), [1, 2, 4, 8, 16]);
        assert_eq!(drawn(KeepSampling::Pow2, 10), [1, 2, 4, 8, 10]);
        assert_eq!(drawn(KeepSampling::UniformPow2, 10), [1, 2, 4, 8, 10]);
    }

    #[test]
    fn times_lie_between_clean_and_noise() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for logit_normal in [false, true] {
            for stratified in [false, true] {
                let noise = NoiseConfig { logit_normal, stratified, mode_scale: 0.25 };
                let times = sigmas(&noise, 1000, &mut rng);
                assert!(times.iter().all(|time| (0.0..=1.0).contains(time)));
                let mean = times.iter().sum::<f32>() / 1000.0;
                assert!((mean - 0.5).abs() < 0.05, "{mean}");
            }
        }
    }
}
