//! How residual codebooks learn: by moving averages of what chooses their codes, without gradients.

use burn::tensor::{Tensor, TensorData};
use rand::Rng;
use rand::seq::SliceRandom as _;

use super::residual::{Codebook, Found, same};
use super::{ResidualQuantized, ResidualQuantizer};

/// When tables change, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateForm {
    /// After every depth, so that the next one searches the changed table of a shared codebook (`rq`).
    EachDepth,
    /// Once, after all depths have searched the old table (`rq_ema`).
    AllDepths,
    /// As [`UpdateForm::AllDepths`], but every depth's codes move towards what the last depth left over: what the released
    /// code of `rq_ema` does by mistake, since the residuals that it remembers share one buffer. For comparison with its
    /// results only.
    AllDepthsReleased,
}

/// What becomes of codes that hardly anything chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// They stay.
    Off,
    /// A code whose average count is below 1 becomes one of the batch's vectors, chosen at random.
    Unused,
}

/// Settings of an update.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualUpdate {
    /// When and by what.
    pub form: UpdateForm,
    /// Decay of the averages, one for each depth; the first counts where the codebook is shared.
    pub decay: Vec<f64>,
    /// Unused codes.
    pub restart: Restart,
}

/// Keeps the share of a code that nothing chose away from zero.
const EPSILON: f32 = 1e-5;

impl ResidualQuantizer {
    /// Quantizes latents `[batch, height, width, channels]` and moves the tables, as a step of training does.
    ///
    /// With `cs` the average count and `es` the average sum of what chose a code, a table's row is
    /// `es / (n (cs + 1e-5) / (n + K 1e-5))`, `n` the sum of all `cs` and `K` the number of codes. Padding rows stay.
    ///
    /// Source: DualToken's released code (after rq-vae-transformer).
    pub fn forward_and_update(
        &mut self,
        latents: Tensor<4>,
        update: &ResidualUpdate,
        rng: &mut impl Rng,
    ) -> ResidualQuantized {
        let decay = |depth: usize| update.decay.get(depth).or(update.decay.first()).copied().unwrap_or(0.99) as f32;
        if update.form == UpdateForm::EachDepth {
            let mut residual = self.rows(latents.clone().detach());
            let mut found = Vec::new();
            for depth in 0..self.depth() {
                let at = if self.is_shared { 0 } else { depth };
                let Some(codebook) = self.codebooks.get_mut(at) else { break };
                let step = codebook.find(residual);
                residual = step.left.clone();
                codebook.learn(&[Chosen::of(&step, &step.residual)], decay(at), update.restart, rng);
                found.push(step);
            }
            self.share();
            return self.quantized(latents, found);
        }
        let found = self.search(&latents);
        let left = found.last().map(|step| step.left.clone());
        let chosen: Vec<Chosen> = found
            .iter()
            .map(|step| match (update.form, &left) {
                (UpdateForm::AllDepthsReleased, Some(left)) => Chosen::of(step, left),
                _ => Chosen::of(step, &step.residual),
            })
            .collect();
        if self.is_shared {
            if let Some(codebook) = self.codebooks.first_mut() {
                codebook.learn(&chosen, decay(0), update.restart, rng);
            }
            self.share();
        } else {
            for (depth, (codebook, chosen)) in self.codebooks.iter_mut().zip(&chosen).enumerate() {
                codebook.learn(std::slice::from_ref(chosen), decay(depth), update.restart, rng);
            }
        }
        self.quantized(latents, found)
    }
}

/// Which codes were chosen, and the vectors that they move towards; on the host.
struct Chosen {
    codes: Vec<usize>,
    vectors: Vec<f32>,
}

impl Chosen {
    fn of(step: &Found, vectors: &Tensor<2>) -> Self {
        let codes = step.codes.clone().into_data();
        let codes = codes.iter::<i64>().map(|code| usize::try_from(code).unwrap_or(usize::MAX)).collect();
        Self { codes, vectors: vectors.clone().into_data().iter().collect() }
    }
}

impl Codebook {
    /// Moves the averages by what was chosen, then the table.
    fn learn(&mut self, chosen: &[Chosen], decay: f32, restart: Restart, rng: &mut impl Rng) {
        let ([rows, width], device) = (self.weight.dims(), self.weight.val().device());
        let codes = rows.saturating_sub(1);
        let (mut counts, mut sums) = (vec![0.0_f32; codes], vec![0.0_f32; codes * width]);
        for part in chosen {
            for (&code, vector) in part.codes.iter().zip(part.vectors.chunks(width.max(1))) {
                let (Some(count), Some(sum)) = (counts.get_mut(code), sums.get_mut(code * width..(code + 1) * width))
                else {
                    continue;
                };
                *count += 1.0;
                sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value);
            }
        }
        let mut sizes: Vec<f32> = self.cluster_size_ema.val().into_data().iter().collect();
        let mut averages: Vec<f32> = self.embed_ema.val().into_data().iter().collect();
        let mix = |old: &mut f32, new: f32| *old = *old * decay + new * (1.0 - decay);
        sizes.iter_mut().zip(counts).for_each(|(size, count)| mix(size, count));
        averages.iter_mut().zip(sums).for_each(|(average, sum)| mix(average, sum));
        if restart == Restart::Unused {
            restart_unused(&mut sizes, &mut averages, chosen, width, rng);
        }

        let all: f32 = sizes.iter().sum();
        let mut table: Vec<f32> = self.weight.val().into_data().iter().collect();
        let of_codes = table.chunks_mut(width.max(1)).zip(averages.chunks(width.max(1))).zip(&sizes);
        for ((row, average), size) in of_codes {
            let share = all * (size + EPSILON) / (all + codes as f32 * EPSILON);
            row.iter_mut().zip(average).for_each(|(value, average)| *value = average / share);
        }
        self.weight = same(&self.weight, Tensor::from_data(TensorData::new(table, [rows, width]), &device));
        self.cluster_size_ema =
            same(&self.cluster_size_ema, Tensor::from_data(TensorData::new(sizes, [codes]), &device));
        self.embed_ema = same(&self.embed_ema, Tensor::from_data(TensorData::new(averages, [codes, width]), &device));
    }
}

/// Gives codes whose count is below 1 a vector of the batch and a count of 1. A batch with fewer vectors than there are codes is
/// repeated, with a little noise on each repeat.
fn restart_unused(sizes: &mut [f32], averages: &mut [f32], chosen: &[Chosen], width: usize, rng: &mut impl Rng) {
    let vectors: Vec<&[f32]> = chosen.iter().flat_map(|part| part.vectors.chunks(width.max(1))).collect();
    if vectors.is_empty() {
        return;
    }
    let has_noise = vectors.len() < sizes.len();
    let noise = 0.01 / (width as f32).sqrt();
    let mut order: Vec<usize> = (0..vectors.len().max(sizes.len()).next_multiple_of(vectors.len())).collect();
    order.shuffle(rng);
    for ((size, average), place) in sizes.iter_mut().zip(averages.chunks_mut(width.max(1))).zip(order) {
        let Some(vector) = vectors.get(place % vectors.len()).filter(|_| *size < 1.0) else { continue };
        *size = 1.0;
        for (average, value) in average.iter_mut().zip(*vector) {
            *average = if has_noise { value + rng.random::<f32>() * noise } else { *value };
        }
    }
}
