//! Tokens that were searched for: descending the decoder's own error of one shape.
//!
//! An encoder that has learnt from many shapes leaves some of every shape behind. Where it is known what is inside, latents may go on
//! from the encoder's: each step decodes their codes, compares the field with what is known, and moves the latents down the gradient, which
//! passes through the choice of codes as it does in training. The tokens are of the same kind and length; the decoder does not change.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tessera_layers::Trace;

use super::train::{SearchLosses, occupancy_errors, search_losses};
use super::{LatentDescent, Supervision, VatNetwork};

/// How tokens are searched for.
#[derive(Debug, Clone, PartialEq)]
pub struct RefineOptions {
    /// Steps; 0 leaves the encoder's tokens as they are.
    pub steps: usize,
    /// How far a step moves a number of the latents at first; it goes down to a tenth along a cosine.
    pub rate: f64,
    /// Places of each sort (in the volume, near the surface) that a step looks at, at least one.
    pub places: [usize; 2],
    /// Weight of the places near the surface.
    pub near_weight: f64,
    /// Weight of the mean squared distance of latents from their codes' sum.
    pub commitment: f64,
    /// Share of the steps that decode a prefix of the scales, for coarse prefixes to stay good.
    pub prefix_share: f64,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for RefineOptions {
    fn default() -> Self {
        Self {
            steps: 100,
            rate: 0.06,
            places: [1024, 2048],
            near_weight: 1.0,
            commitment: 2.0,
            prefix_share: 0.0,
            seed: 0,
        }
    }
}

/// Steps between two looks at whether the tokens became better.
const LOOK: usize = 10;
/// One of so many places is kept to judge by, and never learnt from.
const JUDGED: usize = 5;
/// So few places would leave nothing to judge by.
pub(super) const LEAST_PLACES: usize = 2 * JUDGED;

/// Latents `[items, latents, width]` that start from `mu`, after `options.steps` steps: those whose codes were best. Items do not influence each
/// other but by being judged each for itself; `truth` holds the places of every item.
pub(super) fn refined(network: &VatNetwork, mu: Tensor<3>, truth: &Supervision, options: &RefineOptions) -> Tensor<3> {
    let [items, latents, width] = mu.dims();
    let network = network.clone().train().no_grad();
    let [volume, near] = truth.counts();
    let judged = [volume / JUDGED, near / JUDGED];
    let judge = truth.part(0..judged[0], 0..judged[1]);
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut descent = LatentDescent::new(mu.clone(), options.rate, options.steps);
    let mut best = (errors(&network, mu.clone(), &judge, options), mu);
    for step in 0..options.steps {
        let places = truth.window(options.places.map(|count| count.max(1)), judged, &mut rng).tracked();
        let scales = network.quantizer().scales().len();
        let is_prefix = scales > 1 && rng.random_bool(options.prefix_share.clamp(0.0, 1.0));
        let shown = if is_prefix { rng.random_range(1..scales) } else { scales };

        let tracked = descent.latents().clone().autodiff().require_grad();
        let SearchLosses { volume, near, commitment } = search_losses(&network, tracked.clone(), shown, &places);
        let total = volume + near.mul_scalar(options.near_weight) + commitment.mul_scalar(options.commitment);
        let Some(gradient) = tracked.grad(&total.backward()) else { break };
        descent.step(gradient);
        if (step + 1) % LOOK == 0 || step + 1 == options.steps {
            let z = descent.latents().clone();
            let errors = errors(&network, z.clone(), &judge, options);
            let better: Vec<bool> = errors.iter().zip(&best.0).map(|(new, old)| new < old).collect();
            let chosen = TensorData::new(better.iter().map(|&b| f32::from(u8::from(b))).collect(), [items, 1, 1]);
            let chosen = Tensor::<3>::from_data(chosen, &z.device()).expand([items, latents, width]);
            best.1 = z * chosen.clone() + best.1 * (chosen.neg().add_scalar(1.0));
            best.0 = errors.into_iter().zip(best.0).map(|(new, old)| new.min(old)).collect();
        }
    }
    best.1
}

/// The error of each item's codes.
fn errors(network: &VatNetwork, z: Tensor<3>, judge: &Supervision, options: &RefineOptions) -> Vec<f32> {
    let [items, ..] = z.dims();
    let codes = network.quantizer().quantize(z.clone().autodiff());
    let sum = codes.sums.last().cloned().unwrap_or_else(|| z.autodiff());
    let planes = network.planes(sum.detach(), &mut Trace::none());
    let one = |item: usize| {
        let Supervision { points, labels, volume } = judge.clone();
        let judge = Supervision { points: points.narrow(0, item, 1), labels: labels.narrow(0, item, 1), volume };
        let [volume, near] = occupancy_errors(network, planes.clone().narrow(0, item, 1), &judge.tracked()).0;
        (volume + near.mul_scalar(options.near_weight)).into_scalar::<f32>()
    };
    (0..items).map(one).collect()
}
