//! Training a DualToken.

use std::cell::RefCell;

use burn::tensor::{Device, Int, Tensor};
use rand_chacha::ChaCha8Rng;
use tessera_layers::{ParamSpec, Trace};
use tessera_tokenizers::dualtoken::{self, DualTokenConfig, DualTokenNetwork, losses};
use tessera_tokenizers::quantizers::ResidualUpdate;

use super::architecture::open_weights;
use super::objective::{Losses, Objective};
use super::objectives::only_single;
use super::{TrainConfig, TrainError};

/// Pixels, commitments and semantic features; perceptual and adversarial terms are the trainer's. The released weights of
/// pixels and commitments are 5 each (`reconstruction_weight`, `quantizer_weight`).
///
/// The teacher is the SigLIP as it stands at the start, frozen. Codebooks learn by moving averages after each step, from the
/// latents of its passes; within a step all depths search the same tables.
pub struct DualTokenObjective {
    config: DualTokenConfig,
    specs: Vec<ParamSpec>,
    teacher: DualTokenNetwork,
    /// Pixel and semantic latents of the passes of a step.
    pending: RefCell<[Vec<Tensor<4>>; 2]>,
}

impl DualTokenObjective {
    /// The objective and the network at its start, on an autodiff device.
    ///
    /// # Errors
    /// [`TrainError`] if settings do not fit the architecture, or weights cannot be loaded.
    pub fn new(
        config: &TrainConfig,
        architecture: DualTokenConfig,
        device: &Device,
    ) -> Result<(Self, DualTokenNetwork), TrainError> {
        only_single(config, "a DualToken")?;
        let (network, specs) = match &config.model.from {
            Some(from) => {
                let (model, specs) = dualtoken::load(&architecture, &open_weights(from)?, device)?;
                (model.into_network(), specs)
            }
            None => {
                let (model, specs) = dualtoken::random(&architecture, config.run.seed, device)?;
                let mut network = model.into_network();
                network.start_averages();
                (network, specs)
            }
        };
        let teacher = network.clone();
        Ok((Self { config: architecture, specs, teacher, pending: RefCell::default() }, network))
    }

    fn updates(&self) -> [ResidualUpdate; 2] {
        let inner = &self.config.rqvaesiglip;
        [inner.vq_pix.update(false), inner.vq_sem.update(false)]
    }
}

impl Objective for DualTokenObjective {
    type Network = DualTokenNetwork;
    /// Pixel codes `[batch, rows, columns, depth]`: pictures come of these alone.
    type Code = Tensor<4, Int>;

    fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    /// All but texts, which stay as they are, and codebooks, which learn without gradients.
    fn is_trained(&self, name: &str) -> bool {
        let frozen = ["siglip_model.text_model.", "siglip_model.logit_", "quantizer_"];
        !frozen.iter().any(|prefix| name.starts_with(prefix)) && !name.ends_with(".zero_k_bias")
    }

    fn image_size(&self) -> usize {
        self.config.image_size()
    }

    fn token_counts(&self) -> Vec<usize> {
        let [rows, columns] = self.config.code_grid();
        vec![rows * columns]
    }

    /// Pixel codes.
    fn codes(&self) -> usize {
        self.config.rqvaesiglip.vq_pix.sizes().codes.into_iter().max().unwrap_or(0)
    }

    fn losses(
        &self,
        network: &DualTokenNetwork,
        images: Tensor<4>,
        _step: u64,
        _rng: &mut ChaCha8Rng,
    ) -> Result<Losses, TrainError> {
        let teacher = self.teacher.plain_features(images.clone().mul_scalar(2.0).sub_scalar(1.0));
        let quantizers = [network.pixel_quantizer(), network.semantic_quantizer()];
        let mut pixel_codes = None;
        let found = losses(network, images, &teacher, &mut |kind, latents| {
            let [pixel, semantic] = quantizers;
            let quantized = if kind == 0 { pixel.forward(latents.clone()) } else { semantic.forward(latents.clone()) };
            if kind == 0 {
                pixel_codes = Some(quantized.codes.clone());
            }
            if let Some(pending) = self.pending.borrow_mut().get_mut(kind) {
                pending.push(latents.detach());
            }
            quantized
        });
        Ok(Losses {
            reconstruction: found.reconstruction,
            quantizer: Some(found.pixel_commitment + found.semantic_commitment),
            others: vec![("semantic", 1.0, found.semantic.total())],
            indices: pixel_codes.as_ref().and_then(Self::ids),
            latents: None,
            image: Some(found.image),
        })
    }

    fn after_step(&self, network: &mut DualTokenNetwork, rng: &mut ChaCha8Rng) {
        let pending = self.pending.take();
        for ((quantizer, update), latents) in network.quantizers_mut().into_iter().zip(self.updates()).zip(pending) {
            if !latents.is_empty() {
                quantizer.forward_and_update(Tensor::cat(latents, 0), &update, rng);
            }
        }
    }

    fn encode(&self, network: &DualTokenNetwork, images: Tensor<4>) -> Tensor<4, Int> {
        let latents = network.latents(images.mul_scalar(2.0).sub_scalar(1.0), &mut Trace::none());
        network.pixel_quantizer().forward(latents.pixel).codes
    }

    fn ids(code: &Tensor<4, Int>) -> Option<Tensor<2, Int>> {
        let [batch, rows, columns, depth] = code.dims();
        Some(code.clone().reshape([batch, rows * columns * depth]))
    }

    fn reconstruct(&self, network: &DualTokenNetwork, code: &Tensor<4, Int>, _keep: usize) -> Option<Tensor<4>> {
        let vectors = network.pixel_quantizer().vectors(code.clone());
        Some(network.pixels(vectors, &mut Trace::none()).add_scalar(1.0).mul_scalar(0.5))
    }

    fn config(&self, _network: &DualTokenNetwork, _sample: Option<Tensor<4>>) -> serde_json::Value {
        self.config.to_value()
    }

    fn reconstruction_name(&self) -> &'static str {
        "mse"
    }
}
