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
    /// Share of the passes that show the encoder's tokens, and of those the share that show the first scales alone.
    encoded_share: f64,
    prefix_share: f64,
    slots: HashMap<usize, LatentDescent>,
    /// The slot of the pass that runs, and its latents.
    running: Option<(usize, Tensor<3>)>,
}

impl Searches {
    /// Searches of as many steps as the settings say. `encoder` is on the device without autodiff.
    pub fn new(encoder: VatNetwork, section: &ShapeSection) -> Self {
        let options = RefineOptions { steps: section.search_steps, ..RefineOptions::default() };
        let (encoded_share, prefix_share) = (section.encoded_share, section.prefix_probability);
        Self { encoder, options, encoded_share, prefix_share, slots: HashMap::new(), running: None }
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
        if visit == 0 {
            // What a slot holds is of the shapes of the round before.
            self.slots.remove(&slot);
        }
        let (latents, shown) = if rng.random_bool(self.encoded_share) {
            let is_prefix = scales > 1 && rng.random_bool(self.prefix_share);
            (encoded().autodiff(), if is_prefix { rng.random_range(1..scales) } else { scales })
        } else {
            let RefineOptions { rate, steps, .. } = self.options;
            let search = self.slots.entry(slot).or_insert_with(|| LatentDescent::new(encoded(), rate, steps));
            let latents = search.latents().clone().autodiff().require_grad();
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

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand::SeedableRng as _;
    use serde_json::json;
    use tessera_datasets::shape::ExampleOptions;
    use tessera_tokenizers::vat::{VatConfig, random};

    use super::super::feed::Feed as _;
    use super::super::shape_feed::ShapeFeed;
    use super::super::shape_source::{ShapeSource, Solids};
    use super::*;

    fn network(device: &Device) -> VatNetwork {
        let config = VatConfig::from_value(&json!({
            "model_type": "vat", "num_latents": 4, "latent_dim": 8,
            "input": {"num_points": 20, "num_freqs": 3},
            "encoder": {"dim": 16, "depth": 1, "heads": 2},
            "quantizer": {"scales": [1, 2, 4], "codebook_size": 8, "share_quant_resi": 2},
            "decoder": {"dim": 16, "depth": 1, "heads": 2, "plane_tokens": 2},
            "triplane": {"channels": [8, 8], "out_channels": 4, "norm_groups": 4},
            "occupancy": {"hidden": 8, "layers": 2},
        }));
        random(&config.unwrap(), 3, device).unwrap().into_network().0
    }

    /// A round may begin with a pass of the encoder's tokens; the passes after it must not go on with the shapes of the round before.
    #[test]
    fn a_round_starts_from_its_own_shapes_whatever_its_first_pass_shows() {
        let options = ExampleOptions { points: 20, volume: 40, near: 30, deviations: vec![0.1] };
        let source = (ShapeSource::Procedural(Solids::new(5, 17)), Vec::new());
        let mut feed = ShapeFeed::new(source, options, [2, 1], Device::flex().autodiff());
        feed.start(0).unwrap();
        let (old, new) = (feed.next().unwrap(), feed.next().unwrap());
        let trained = network(&Device::flex().autodiff());
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut pass = |searches: &mut Searches, shapes: &ShapeBatch, visit: usize, encoded_share: f64| -> Vec<f32> {
            searches.encoded_share = encoded_share;
            let batch = RoundBatch { shapes: shapes.clone(), slot: 0, visit };
            let losses = searches.losses(&trained, batch, 1.0, &mut rng);
            searches.step(&losses.reconstruction.backward());
            searches.slots.get(&0).map(|search| search.latents().to_data().iter().collect()).unwrap_or_default()
        };
        let searches =
            || Searches::new(network(&Device::flex()), &ShapeSection { search_steps: 4, ..ShapeSection::default() });
        let mut after = searches();
        let first = pass(&mut after, &old, 0, 0.0);
        assert_ne!(first, pass(&mut after, &old, 1, 0.0), "latents are on their way");
        assert!(pass(&mut after, &new, 0, 1.0).is_empty());
        assert_eq!(pass(&mut after, &new, 1, 0.0), pass(&mut searches(), &new, 0, 0.0));
    }
}
