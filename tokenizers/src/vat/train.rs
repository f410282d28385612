//! Losses of both stages of training.
//!
//! Source: arXiv 2412.02202 (two stages, Gaussian latents, occupancy); the weights are tessera's choice, near those of related
//! networks.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Int, Tensor, activation};
use rand::Rng;
use tessera_layers::Trace;

use super::{LossConfig, VatNetwork};

/// Query points with their labels: 1 inside, 0 outside.
#[derive(Debug, Clone)]
pub struct Supervision {
    /// `[batch, n, 3]`, the first `volume` of them spread over the box and the others near the surface.
    pub points: Tensor<3>,
    /// `[batch, n]`
    pub labels: Tensor<2>,
    /// Points that are spread over the box.
    pub volume: usize,
}

impl Supervision {
    /// Places in the volume, and near the surface.
    pub fn counts(&self) -> [usize; 2] {
        let [_, all, _] = self.points.dims();
        let volume = self.volume.min(all);
        [volume, all - volume]
    }

    /// Some of the places of each sort, by their numbers within it.
    ///
    /// # Panics
    /// If there are not so many.
    #[must_use]
    pub(super) fn part(&self, volume: Range<usize>, near: Range<usize>) -> Self {
        let [of_volume, _] = self.counts();
        let ranges = [(volume.start, volume.len()), (of_volume + near.start, near.len())];
        let some = ranges.iter().filter(|(_, count)| *count > 0);
        let points = some.clone().map(|&(from, count)| self.points.clone().narrow(1, from, count)).collect();
        let labels = some.map(|&(from, count)| self.labels.clone().narrow(1, from, count)).collect();
        Self { points: Tensor::cat(points, 1), labels: Tensor::cat(labels, 1), volume: volume.len() }
    }

    /// As many neighbouring places of each sort as are `wanted`, or all there are, from a place that `rng` draws; the first `spared` of each sort
    /// are not among them.
    ///
    /// # Panics
    /// If more are spared than there are.
    #[must_use]
    pub fn window(&self, wanted: [usize; 2], spared: [usize; 2], rng: &mut impl Rng) -> Self {
        let counts = self.counts();
        let [volume, near] = [0, 1].map(|sort: usize| {
            let free = counts[sort] - spared[sort];
            let taken = wanted[sort].min(free);
            let from = spared[sort] + rng.random_range(0..=free - taken);
            from..from + taken
        });
        self.part(volume, near)
    }

    /// The same on the autodiff device.
    #[must_use]
    pub(super) fn tracked(self) -> Self {
        Self { points: self.points.autodiff(), labels: self.labels.autodiff(), volume: self.volume }
    }
}

/// Which stage is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VatStage {
    /// Encoder and decoder, with latents as they are.
    Continuous,
    /// With the quantizer between them.
    Quantized,
    /// The same, but the decoder is shown the sum of the first so many scales (at least 1) alone, so that it learns what to make of a
    /// coarse prefix. Its losses leave the encoder as it is.
    Prefix(usize),
}

/// What a batch comes to.
#[derive(Debug, Clone)]
pub struct VatLosses {
    /// What is minimised.
    pub total: Tensor<1>,
    /// Cross-entropy of the volume points, `[1]`; 0 where there are none.
    pub bce_volume: Tensor<1>,
    /// Cross-entropy of the points near the surface, before its weight.
    pub bce_near: Tensor<1>,
    /// Divergence from the normal distribution, before its weight.
    pub kl: Tensor<1>,
    /// Loss of the quantizer, before its weight; `None` in the first stage.
    pub vq: Option<Tensor<1>>,
    /// Ids `[batch, tokens]`, coarse to fine; `None` in the first stage.
    pub indices: Option<Tensor<2, Int>>,
    /// What scales looked up (in the first stage: the latents), `[batch, vectors, width]`, without a gradient: where unused codes
    /// may be moved.
    pub candidates: Tensor<3>,
    /// Latents `[batch, latents, width]` of the noise.
    pub z: Tensor<3>,
    /// Their sum of codes, `[batch, latents, width]`; the latents in the first stage.
    pub z_hat: Tensor<3>,
    /// Logits `[batch, n]` of the query points.
    pub logits: Tensor<2>,
}

/// Losses of surface points `[batch, n, 3]` with standard normal `noise [batch, latents, width]`.
pub fn losses(
    network: &VatNetwork,
    points: Tensor<3>,
    normals: Option<Tensor<3>>,
    noise: Tensor<3>,
    queries: &Supervision,
    stage: VatStage,
    weights: &LossConfig,
) -> VatLosses {
    let moments = network.moments(points, normals, &mut Trace::none());
    let z = moments.sample(noise);
    let (input, z_hat, vq, indices, candidates) = match stage {
        VatStage::Continuous => (z.clone(), z.clone(), None, None, z.clone().detach()),
        VatStage::Quantized | VatStage::Prefix(_) => {
            let codes = network.quantizer().quantize(z.clone());
            let loss = codes.loss(z.clone(), network.quantizer().config().beta);
            let sum = codes.sums.last().cloned().unwrap_or_else(|| z.clone());
            let input = match stage {
                VatStage::Prefix(scales) => codes.sums.get(scales.saturating_sub(1)).unwrap_or(&sum).clone().detach(),
                _ => codes.straight_through(z.clone()),
            };
            (input, sum, Some(loss), Some(codes.all_ids()), codes.candidates())
        }
    };
    let planes = network.planes(input, &mut Trace::none());
    let ([bce_volume, bce_near], logits) = occupancy_errors(network, planes, queries);
    let kl = moments.kl();
    let mut total = bce_volume.clone()
        + bce_near.clone().mul_scalar(weights.near_weight)
        + kl.clone().mul_scalar(weights.kl_weight);
    if let Some(vq) = &vq {
        total = total + vq.clone().mul_scalar(weights.vq_weight);
    }
    VatLosses { total, bce_volume, bce_near, kl, vq, indices, candidates, z, z_hat, logits }
}

/// What latents that are searched for come to.
#[derive(Debug, Clone)]
pub struct SearchLosses {
    /// Cross-entropy of the volume points, `[1]`.
    pub volume: Tensor<1>,
    /// Cross-entropy of the points near the surface.
    pub near: Tensor<1>,
    /// Mean squared distance of the latents from their codes' sum.
    pub commitment: Tensor<1>,
}

/// Losses of latents `[batch, latents, width]` themselves, whose gradient passes through the choice of their codes; the decoder is shown the
/// sum of the first `scales` scales.
pub fn search_losses(network: &VatNetwork, latents: Tensor<3>, scales: usize, queries: &Supervision) -> SearchLosses {
    // Codes take no gradient: their graph would outlive the pass, since no backward reaches it (burn issue 4970).
    let codes = network.quantizer().clone().no_grad().quantize(latents.clone());
    let sum = |scale: Option<&Tensor<3>>| scale.cloned().unwrap_or_else(|| latents.clone()).detach();
    let shown = sum(codes.sums.get(scales.saturating_sub(1)));
    let input = latents.clone() + (shown - latents.clone()).detach();
    let planes = network.planes(input, &mut Trace::none());
    let ([volume, near], _) = occupancy_errors(network, planes, queries);
    let commitment = (latents.clone() - sum(codes.sums.last())).square().mean();
    SearchLosses { volume, near, commitment }
}

/// Mean cross-entropy of the places of each sort, 0 of none, and the logits of all.
pub(super) fn occupancy_errors(
    network: &VatNetwork,
    planes: Tensor<5>,
    queries: &Supervision,
) -> ([Tensor<1>; 2], Tensor<2>) {
    let logits = network.logits(planes, queries.points.clone(), &mut Trace::none());
    let [volume, near] = queries.counts();
    let errors = [(0, volume), (volume, near)].map(|(start, count)| match count {
        0 => Tensor::zeros([1], &logits.device()),
        _ => {
            let labels = queries.labels.clone().narrow(1, start, count);
            binary_cross_entropy(logits.clone().narrow(1, start, count), labels)
        }
    });
    (errors, logits)
}

/// Mean cross-entropy of logits and labels in 0..=1, in nats, `[1]`.
pub fn binary_cross_entropy(logits: Tensor<2>, labels: Tensor<2>) -> Tensor<1> {
    let tail = logits.clone().abs().neg().exp().log1p();
    (activation::relu(logits.clone()) - logits * labels + tail).mean()
}
