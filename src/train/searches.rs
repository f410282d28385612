//! [`Searches`]: the tokens of shapes that are searched for while a decoder learns.

use std::collections::HashMap;

use burn::tensor::{Gradients, Tensor};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tessera_layers::Trace;
use tessera_tokenizers::vat::{LatentDescent, RefineOptions, VatNetwork, search_losses};

use super::ShapeSection;
use super::objective::Losses;
use super::shape_feed::ShapeBatch;
use super::shape_rounds::RoundBatch;

/// Latents of the batches of a round, each on its way from the encoder's.
pub struct Searches {
    /// The network as it was, on the device without autodiff: its encoder stays.
    encoder: VatNetwork,
    options: RefineOptions,
    /// Share of the passes that show the encoder's tokens.
    encoded_share: f64,
    slots: HashMap<usize, LatentDescent>,
    /// The slot of the pass that runs, and its latents.
    running: Option<(usize, Tensor<3>)>,
}

impl Searches {
    /// Searches of as many steps as the settings say. `encoder` is on the device without autodiff.
    pub fn new(encoder: VatNetwork, section: &ShapeSection) -> Self {
        let options = RefineOptions { steps: section.search_steps, ..RefineOptions::default() };
        Self { encoder, options, encoded_share: section.prefix_probability, slots: HashMap::new(), running: None }
    }

    /// A pass: the decoder learns from the encoder's tokens, all scales or the first, or from the batch's latents on their way, which take a
    /// step too ([`Searches::step`]).
    pub fn losses(
        &mut self,
        network: &VatNetwork,
        batch: RoundBatch,
        near_weight: f64,
        rng: &mut ChaCha8Rng,
    ) -> Losses {
        let RoundBatch { shapes: ShapeBatch { points, normals, queries }, slot, visit } = batch;
        let scales = network.quantizer().scales().len();
        let encoder = &self.encoder;
        let encoded = || encoder.moments(points.inner(), Some(normals.inner()), &mut Trace::none()).mu;
        self.running = None;
        let (latents, shown) = if rng.random_bool(self.encoded_share) {
            (encoded().autodiff(), rng.random_range(1..=scales))
        } else {
            // The encoder's at the first visit, and where a run was taken up in the middle of a round.
            let kept = self.slots.remove(&slot).filter(|_| visit > 0);
            let search = kept.unwrap_or_else(|| LatentDescent::new(encoded(), self.options.rate, self.options.steps));
            let latents = search.latents().clone().autodiff().require_grad();
            self.slots.insert(slot, search);
            self.running = Some((slot, latents.clone()));
            (latents, scales)
        };
        let found = search_losses(network, latents, shown, &queries);
        let others = vec![("near", near_weight, found.near), ("commitment", self.options.commitment, found.commitment)];
        Losses { reconstruction: found.volume, quantizer: None, others, indices: None, latents: None, image: None }
    }

    /// Moves the latents of the last pass, if they are searched for.
    pub fn step(&mut self, gradients: &Gradients) {
        let Some((slot, latents)) = self.running.take() else { return };
        if let (Some(gradient), Some(search)) = (latents.grad(gradients), self.slots.get_mut(&slot)) {
            search.step(gradient);
        }
    }
}
