//! Training a VAT on shapes.

use std::cell::{Cell, RefCell};

use burn::tensor::{Device, Gradients};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tessera_datasets::Picture;
use tessera_datasets::shape::ExampleOptions;
use tessera_layers::ParamSpec;
use tessera_tokenizers::flextok::flow_noise;
use tessera_tokenizers::vat::{self, VatConfig, VatNetwork, VatStage, losses};

use super::architecture::open_weights;
use super::codebook::Codebook;
use super::objective::Losses;
use super::parameters::Parameters;
use super::searches::Searches;
use super::shape_feed::{ShapeBatch, ShapeFeed};
use super::shape_rounds::{RoundBatch, RoundFeed, Rounds};
use super::shape_source::{Meshes, ShapeSource, Solids};
use super::shape_validation::ShapeValidation;
use super::training::{Pass, Training};
use super::{ShapeStage, Stage, Start, TrainConfig, TrainError, ValidationLine};

/// The training of a VAT: occupancy of places in the volume and near the surface, divergence, and in the second
/// stage the quantizer; behind both the decoder alone, on tokens that are searched for.
///
/// Dead codes are cared for as those of every codebook (`[codebook]`): they move onto what scales looked up last.
pub struct VatTraining {
    config: VatConfig,
    stage: ShapeStage,
    /// Tokens that are searched for; `None` in other stages.
    searches: Option<RefCell<Searches>>,
    /// Steps of the second stage that pass the quantizer by.
    free_steps: u64,
    /// The step whose losses were asked for last.
    step: Cell<u64>,
    quantizer_weight: f64,
    /// Share of the passes that show a prefix.
    prefix_probability: f64,
    specs: Vec<ParamSpec>,
    validation: ShapeValidation,
}

impl VatTraining {
    /// The training, its shapes and the network at its start. `device` has no autodiff.
    ///
    /// # Errors
    /// [`TrainError`] if settings do not fit, or meshes or weights cannot be read.
    pub fn new(
        config: &TrainConfig,
        architecture: VatConfig,
        device: &Device,
    ) -> Result<(Self, RoundFeed, VatNetwork), TrainError> {
        check(config)?;
        let section = &config.shape;
        let mut architecture = architecture;
        architecture.input.num_points = section.points.unwrap_or(architecture.input.num_points);
        let weights = &mut architecture.loss;
        weights.near_weight = section.near_weight.unwrap_or(weights.near_weight);
        weights.kl_weight = section.kl_weight.unwrap_or(weights.kl_weight);
        weights.vq_weight = section.vq_weight.unwrap_or(weights.vq_weight);
        weights.num_volume_queries = Some(section.volume_queries);
        let trained = device.clone().autodiff();
        let model = match &config.model.from {
            Some(from) => vat::load(&architecture, &open_weights(from)?, &trained)?,
            None => vat::random(&architecture, config.run.seed, &trained)?,
        };
        let (network, specs) = model.into_network();
        let searches = (section.stage == ShapeStage::Searched).then(|| {
            // The parameters are shared, not copied.
            let encoder = Parameters::new(&specs).map_plain(network.clone(), |_, value| Some(value));
            RefCell::new(Searches::new(encoder, section))
        });
        let points = architecture.input.num_points;
        let solids = Solids::new(config.run.seed, section.lattice);
        let source = match &section.meshes {
            Some(folder) => {
                let (meshes, skipped) = Meshes::open("shape.meshes", folder, config.run.seed, config.data.strict)?;
                let meshes = if section.turn_meshes { meshes.turned() } else { meshes };
                let source = match section.mesh_share < 1.0 {
                    true => ShapeSource::Mixed { solids, meshes, mesh_share: section.mesh_share },
                    false => ShapeSource::Meshes(meshes),
                };
                (source, skipped)
            }
            None => (ShapeSource::Procedural(solids), Vec::new()),
        };
        let rounds = match section.stage {
            ShapeStage::Searched => Rounds { batches: section.search_batches, visits: section.search_steps },
            _ => Rounds::ONCE,
        };
        let looked_at = [section.volume_queries, section.near_queries];
        let places = looked_at.map(|count| if rounds == Rounds::ONCE { count } else { count.saturating_mul(SPARE) });
        let options =
            ExampleOptions { points, volume: places[0], near: places[1], deviations: section.near_deviations.clone() };
        let feed = ShapeFeed::new(source, options, [config.run.batch_size, config.data.prefetch], trained);
        let feed = RoundFeed::new(feed, rounds, looked_at, config.run.seed);
        let training = Self {
            stage: section.stage,
            searches,
            config: architecture,
            free_steps: config.codebook.free_steps,
            step: Cell::new(0),
            quantizer_weight: config.loss.quantizer_weight,
            prefix_probability: section.prefix_probability,
            specs,
            validation: ShapeValidation::new(config, points, device)?,
        };
        Ok((training, feed, network))
    }
}

impl VatTraining {
    fn stage_at(&self, step: u64) -> VatStage {
        match self.stage {
            ShapeStage::Continuous => VatStage::Continuous,
            ShapeStage::Quantized | ShapeStage::Searched if step < self.free_steps => VatStage::Continuous,
            ShapeStage::Quantized | ShapeStage::Searched => VatStage::Quantized,
        }
    }

    fn is_quantized(&self) -> bool {
        self.stage != ShapeStage::Continuous
    }

    /// What the decoder is shown in a pass of this stage: of some quantized ones a prefix.
    fn shown(&self, stage: VatStage, rng: &mut ChaCha8Rng) -> VatStage {
        let scales = self.config.quantizer.scales.len();
        let has_prefix = stage != VatStage::Continuous && self.prefix_probability > 0.0 && scales > 1;
        if has_prefix && rng.random_bool(self.prefix_probability) {
            return VatStage::Prefix(rng.random_range(1..scales));
        }
        stage
    }
}

/// Places of a batch that is searched for, for each that a step looks at.
const SPARE: usize = 8;

impl Training for VatTraining {
    type Network = VatNetwork;
    type Feed = RoundFeed;

    fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    /// In the first stage all but the quantizer; on tokens that are searched for what decodes them.
    fn is_trained(&self, name: &str) -> bool {
        match self.stage {
            ShapeStage::Continuous => !name.starts_with("quantizer."),
            ShapeStage::Quantized => true,
            ShapeStage::Searched => !name.starts_with("quantizer.") && !name.starts_with("encoder."),
        }
    }

    fn codes(&self) -> usize {
        if self.stage == ShapeStage::Quantized { self.config.quantizer.codebook_size } else { 0 }
    }

    fn losses(
        &self,
        network: &VatNetwork,
        batch: RoundBatch,
        step: u64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Pass, TrainError> {
        self.step.set(step);
        if let Some(searches) = &self.searches {
            let losses = searches.borrow_mut().losses(network, batch, self.config.loss.near_weight, rng);
            return Ok(Pass { losses, images: None });
        }
        let stage = self.stage_at(step);
        let ShapeBatch { points, normals, queries } = batch.shapes;
        let [items, ..] = points.dims();
        let [latents, width] = [self.config.num_latents, self.config.latent_dim];
        let noise = flow_noise(rng.random(), 0, [items, latents, width, 1], &points.device());
        let noise = noise.reshape([items, latents, width]);
        let weights = &self.config.loss;
        let stage = self.shown(stage, rng);
        let found = losses(network, points, Some(normals), noise, &queries, stage, weights);
        let mut others = vec![("near", weights.near_weight, found.bce_near), ("kl", weights.kl_weight, found.kl)];
        others.extend(found.vq.map(|vq| ("vq", weights.vq_weight * self.quantizer_weight, vq)));
        let losses = Losses {
            reconstruction: found.bce_volume,
            quantizer: None,
            others,
            indices: found.indices,
            latents: self.is_quantized().then_some(found.candidates),
            image: None,
        };
        Ok(Pass { losses, images: None })
    }

    fn codebook<'a>(&self, network: &'a mut VatNetwork) -> Option<Codebook<'a>> {
        Some(Codebook { names: &["quantizer.embedding.weight"], codes: network.quantizer_mut().codes_mut() })
    }

    fn gradients(&self, gradients: &Gradients) {
        if let Some(searches) = &self.searches {
            searches.borrow_mut().step(gradients);
        }
    }

    /// In free steps, as in the first stage; on tokens that are searched for by those of the encoder.
    fn judge(&self, network: &VatNetwork) -> Result<Option<ValidationLine>, TrainError> {
        self.validation.judge(network, self.stage_at(self.step.get()))
    }

    fn sheet(&self, network: &VatNetwork, count: usize) -> Result<Option<Picture>, TrainError> {
        self.validation.sheet(network, self.stage_at(self.step.get()), count)
    }

    fn config(&self, _network: &VatNetwork) -> serde_json::Value {
        self.config.to_value()
    }

    fn main_term(&self) -> &'static str {
        "volume"
    }
}

/// Refuses settings that do not fit, or that a VAT has no use for.
fn check(config: &TrainConfig) -> Result<(), TrainError> {
    let refuse = |key: &'static str, expected: String, found: String| Err(TrainError::Invalid { key, expected, found });
    let (section, loss, model) = (&config.shape, &config.loss, &config.model);
    if loss.stage != Stage::Single {
        let expected = "single for a VAT, whose stages shape.stage names".to_owned();
        return refuse("loss.stage", expected, format!("{:?}", loss.stage).to_lowercase());
    }
    if model.start != Start::Released {
        return refuse("model.start", "released for a VAT".to_owned(), "narrow".to_owned());
    }
    let of_pictures = [
        ("model.proxy", model.proxy.as_ref()),
        ("model.vae", model.vae.as_ref()),
        ("data.sources", config.data.sources.first().map(|source| &source.path)),
        ("validation.source", config.validation.source.as_ref().map(|source| &source.path)),
    ];
    for (key, found) in of_pictures {
        if let Some(found) = found {
            return refuse(key, "none for a VAT, which learns from shapes".to_owned(), found.display().to_string());
        }
    }
    let terms =
        [("loss.perceptual_weight", loss.perceptual_weight), ("loss.adversarial_weight", loss.adversarial_weight)];
    for (key, weight) in terms {
        if weight > 0.0 {
            return refuse(key, "0 for a VAT, which makes no pictures".to_owned(), weight.to_string());
        }
    }
    let care = &config.codebook;
    if section.stage == ShapeStage::Searched {
        let passes = Rounds { batches: section.search_batches, visits: section.search_steps }.passes();
        if care.free_steps > 0 || care.reseed_every > 0 {
            let expected = "no care (all of its numbers 0) in the stage searched, whose codes stay".to_owned();
            return refuse("codebook", expected, "some".to_owned());
        }
        if config.model.from.is_none() {
            return refuse("model.from", "a VAT whose codes have learnt (--from)".to_owned(), "none".to_owned());
        }
        if !config.run.checkpoint_every.saturating_mul(config.run.accumulate as u64).is_multiple_of(passes) {
            let expected = format!(
                "a multiple of {passes} passes (shape.search_batches times shape.search_steps), since a search is not kept in a checkpoint"
            );
            return refuse("run.checkpoint_every", expected, config.run.checkpoint_every.to_string());
        }
    }
    if section.stage == ShapeStage::Continuous && (care.free_steps > 0 || care.reseed_every > 0) {
        let expected = "no care (all of its numbers 0) in the stage continuous, which has no codes".to_owned();
        return refuse("codebook", expected, "some".to_owned());
    }
    let counts = [
        ("shape.points", section.points.unwrap_or(1), 1..=1 << 24),
        ("shape.volume_queries", section.volume_queries, 1..=1 << 24),
        ("shape.near_queries", section.near_queries, 0..=1 << 24),
        ("shape.search_batches", section.search_batches, 1..=1 << 16),
        ("shape.search_steps", section.search_steps, 1..=1 << 16),
        ("shape.lattice", section.lattice, 2..=1025),
        ("shape.sample_lattice", section.sample_lattice, 2..=1025),
        ("shape.validation_places", section.validation_places, 1..=1 << 24),
    ];
    for (key, count, range) in counts {
        if !range.contains(&count) {
            let expected = format!("a number from {} to {}", range.start(), range.end());
            return refuse(key, expected, count.to_string());
        }
    }
    if section.near_queries > 0 && section.near_deviations.is_empty() {
        let expected = "at least one, as there are places near the surface".to_owned();
        return refuse("shape.near_deviations", expected, "none".to_owned());
    }
    if let Some(deviation) = section.near_deviations.iter().find(|deviation| !(0.0..=1.0).contains(*deviation)) {
        return refuse("shape.near_deviations", "numbers from 0 to 1".to_owned(), deviation.to_string());
    }
    let shares = [
        ("shape.mesh_share", section.mesh_share),
        ("shape.prefix_probability", section.prefix_probability),
        ("shape.encoded_share", section.encoded_share),
    ];
    if let Some((key, share)) = shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
        return refuse(key, "a number from 0 to 1".to_owned(), share.to_string());
    }
    if section.meshes.is_none() && (section.turn_meshes || section.mesh_share < 1.0) {
        let expected = "a folder, as shape.turn_meshes or shape.mesh_share is set".to_owned();
        return refuse("shape.meshes", expected, "none".to_owned());
    }
    let weights = [
        ("shape.near_weight", section.near_weight),
        ("shape.kl_weight", section.kl_weight),
        ("shape.vq_weight", section.vq_weight),
    ];
    for (key, weight) in weights {
        if let Some(weight) = weight.filter(|weight| !(weight.is_finite() && *weight >= 0.0)) {
            return refuse(key, "a number from 0 up".to_owned(), weight.to_string());
        }
    }
    Ok(())
}
