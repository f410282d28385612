//! Tokens that were searched for: descending the decoder's own error of one shape.
//!
//! An encoder that has learnt from many shapes leaves some of every shape behind. Where it is known what is inside, latents may go on
//! from the encoder's: each step decodes their codes, compares the field with what is known, and moves the latents down the gradient, which
//! passes through the choice of codes as it does in training. The tokens are of the same kind and length; the decoder does not change.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tessera_layers::Trace;

use super::{Supervision, VatNetwork, binary_cross_entropy};

/// How tokens are searched for.
#[derive(Debug, Clone, PartialEq)]
pub struct RefineOptions {
    /// Steps; 0 leaves the encoder's tokens as they are.
    pub steps: usize,
    /// How far a step moves a number of the latents at first; it goes down to a tenth along a cosine.
    pub rate: f64,
    /// Places of each sort (in the volume, near the surface) that a step looks at.
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

/// Moves values to the autodiff device; none of them takes a gradient.
struct Tracked;

impl ModuleMapper for Tracked {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value) = (param.id, param.val());
        Param::initialized(id, if value.is_autodiff() { value.detach() } else { value.autodiff() })
    }
}

/// Latents `[items, latents, width]` that start from `mu`, after `options.steps` steps: those whose codes were best. Items do not influence each
/// other but by being judged each for itself; `truth` holds the places of every item.
pub(super) fn refined(network: &VatNetwork, mu: Tensor<3>, truth: &Supervision, options: &RefineOptions) -> Tensor<3> {
    let [items, latents, width] = mu.dims();
    let [_, all, _] = truth.points.dims();
    let volume = truth.volume.min(all);
    let network = network.clone().map(&mut Tracked);
    let judge = Places { truth, sorts: [[0, volume / JUDGED], [volume, (all - volume) / JUDGED]] };
    let learn = [
        [volume / JUDGED, volume - volume / JUDGED],
        [volume + (all - volume) / JUDGED, all - volume - (all - volume) / JUDGED],
    ];
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut descent = Descent::new(&mu);
    let mut z = mu.clone();
    let mut best = (judge.errors(&network, z.clone(), options), mu);
    for step in 0..options.steps {
        // A window of the places of each sort.
        let window = |[from, count]: [usize; 2], wanted: usize, rng: &mut ChaCha8Rng| {
            let taken = wanted.min(count);
            [from + rng.random_range(0..=count - taken), taken]
        };
        let [of_volume, of_near] = options.places;
        let sorts = [window(learn[0], of_volume, &mut rng), window(learn[1], of_near, &mut rng)];
        let scales = network.quantizer().scales().len();
        let is_prefix = scales > 1 && rng.random_bool(options.prefix_share.clamp(0.0, 1.0));
        let shown = if is_prefix { rng.random_range(1..scales) } else { scales };

        let tracked = z.clone().autodiff().require_grad();
        let codes = network.quantizer().quantize(tracked.clone());
        let sum = codes.sums.get(shown - 1).cloned().unwrap_or_else(|| tracked.clone()).detach();
        let input = tracked.clone() + (sum - tracked.clone()).detach();
        let whole = codes.sums.last().cloned().unwrap_or_else(|| tracked.clone()).detach();
        let planes = network.planes(input, &mut Trace::none());
        let error = Places { truth, sorts }.error(&network, planes, options);
        let distance = (tracked.clone() - whole).square().mean().mul_scalar(options.commitment);
        // Means over the items; each is to move as if it were alone.
        let gradients = (error + distance).mul_scalar(items as f64).backward();
        let Some(gradient) = tracked.grad(&gradients) else { break };
        z = descent.step(z, gradient, options, step);
        if (step + 1) % LOOK == 0 || step + 1 == options.steps {
            let errors = judge.errors(&network, z.clone(), options);
            let better: Vec<bool> = errors.iter().zip(&best.0).map(|(new, old)| new < old).collect();
            let chosen = TensorData::new(better.iter().map(|&b| f32::from(u8::from(b))).collect(), [items, 1, 1]);
            let chosen = Tensor::<3>::from_data(chosen, &z.device()).expand([items, latents, width]);
            best.1 = z.clone() * chosen.clone() + best.1 * (chosen.neg().add_scalar(1.0));
            best.0 = errors.into_iter().zip(best.0).map(|(new, old)| new.min(old)).collect();
        }
    }
    best.1
}

/// Places of both sorts, each from a first one on.
struct Places<'a> {
    truth: &'a Supervision,
    sorts: [[usize; 2]; 2],
}

impl Places<'_> {
    /// The cross-entropy of all items together, `[1]`.
    fn error(&self, network: &VatNetwork, planes: Tensor<5>, options: &RefineOptions) -> Tensor<1> {
        let mut error = Tensor::zeros([1], &planes.device());
        for ([from, count], weight) in self.sorts.into_iter().zip([1.0, options.near_weight]) {
            if count == 0 || weight == 0.0 {
                continue;
            }
            let points = self.truth.points.clone().narrow(1, from, count).autodiff();
            let labels = self.truth.labels.clone().narrow(1, from, count).autodiff();
            let logits = network.logits(planes.clone(), points, &mut Trace::none());
            error = error + binary_cross_entropy(logits, labels).mul_scalar(weight);
        }
        error
    }

    /// The error of each item's codes.
    fn errors(&self, network: &VatNetwork, z: Tensor<3>, options: &RefineOptions) -> Vec<f32> {
        let [items, ..] = z.dims();
        let codes = network.quantizer().quantize(z.clone().autodiff());
        let sum = codes.sums.last().cloned().unwrap_or_else(|| z.autodiff());
        let planes = network.planes(sum.detach(), &mut Trace::none());
        let one = |item: usize| {
            let Supervision { points, labels, volume } = self.truth.clone();
            let truth = Supervision { points: points.narrow(0, item, 1), labels: labels.narrow(0, item, 1), volume };
            let places = Places { truth: &truth, sorts: self.sorts };
            places.error(network, planes.clone().narrow(0, item, 1), options).into_scalar::<f32>()
        };
        (0..items).map(one).collect()
    }
}

/// Adam on the latents.
struct Descent {
    mean: Tensor<3>,
    square: Tensor<3>,
}

impl Descent {
    fn new(z: &Tensor<3>) -> Self {
        Self { mean: z.zeros_like(), square: z.zeros_like() }
    }

    fn step(&mut self, z: Tensor<3>, gradient: Tensor<3>, options: &RefineOptions, step: usize) -> Tensor<3> {
        const BETAS: [f64; 2] = [0.9, 0.99];
        let blend =
            |old: &Tensor<3>, new: Tensor<3>, beta: f64| old.clone().mul_scalar(beta) + new.mul_scalar(1.0 - beta);
        self.mean = blend(&self.mean, gradient.clone(), BETAS[0]);
        self.square = blend(&self.square, gradient.square(), BETAS[1]);
        let count = (step + 1) as f64;
        let [mean, square] = [(&self.mean, BETAS[0]), (&self.square, BETAS[1])]
            .map(|(moment, beta)| moment.clone().div_scalar(1.0 - beta.powf(count)));
        let turn = std::f64::consts::PI * step as f64 / options.steps.max(1) as f64;
        let rate = options.rate * (0.55 + 0.45 * turn.cos());
        z - mean / square.sqrt().add_scalar(1e-8) * rate
    }
}
