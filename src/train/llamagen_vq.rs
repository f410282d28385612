//! Training a LlamaGen VQ.

use burn::tensor::{Device, Int, Tensor};
use rand_chacha::ChaCha8Rng;
use tessera_layers::{ParamSpec, Trace};
use tessera_tokenizers::grid::GridNetwork as _;
use tessera_tokenizers::llamagen_vq::{self, LlamaGenVqConfig, LlamaGenVqNetwork, vq_losses};

use super::architecture::open_weights;
use super::codebook::{Codebook, EMBEDDING};
use super::objective::{Losses, Objective};
use super::{DiscriminatorKind, Stage, Start, TrainConfig, TrainError};

/// Pixels, codebook and commitment; perceptual and adversarial terms are the trainer's.
pub struct LlamaGenVqObjective {
    config: LlamaGenVqConfig,
    specs: Vec<ParamSpec>,
    side: usize,
    free_steps: u64,
}

impl LlamaGenVqObjective {
    /// The objective and the network at its start, on an autodiff device.
    ///
    /// # Errors
    /// [`TrainError`] if settings do not fit the architecture, or weights cannot be loaded.
    pub fn new(
        config: &TrainConfig,
        architecture: LlamaGenVqConfig,
        device: &Device,
    ) -> Result<(Self, LlamaGenVqNetwork), TrainError> {
        let refuse = |key: &'static str, expected: &str, found: String| {
            let expected = format!("{expected} for a LlamaGen VQ");
            Err(TrainError::Invalid { key, expected, found })
        };
        if config.loss.stage != Stage::Single {
            return refuse("loss.stage", "single", format!("{:?}", config.loss.stage).to_lowercase());
        }
        if config.model.start != Start::Released {
            return refuse("model.start", "released", "narrow".to_owned());
        }
        for (key, path) in [("model.vae", &config.model.vae), ("model.proxy", &config.model.proxy)] {
            if let Some(path) = path {
                return refuse(key, "none", path.display().to_string());
            }
        }
        let side = architecture.image_size.unwrap_or(256);
        let (model, specs) = match &config.model.from {
            Some(from) => llamagen_vq::load(&architecture, &open_weights(from)?, device)?,
            None => llamagen_vq::random(&architecture, config.run.seed, device)?,
        };
        let free_steps = config.codebook.free_steps;
        Ok((Self { config: architecture, specs, side, free_steps }, model.into_network()))
    }
}

impl Objective for LlamaGenVqObjective {
    type Network = LlamaGenVqNetwork;
    type Code = Tensor<2, Int>;

    fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    fn is_trained(&self, _name: &str) -> bool {
        true
    }

    fn image_size(&self) -> usize {
        self.side
    }

    fn token_counts(&self) -> Vec<usize> {
        let cells = self.side / self.config.downsampling();
        vec![cells * cells]
    }

    fn codes(&self) -> usize {
        self.config.codebook_size
    }

    fn losses(
        &self,
        network: &LlamaGenVqNetwork,
        images: Tensor<4>,
        step: u64,
        _rng: &mut ChaCha8Rng,
    ) -> Result<Losses, TrainError> {
        let weight = self.config.entropy_loss_ratio;
        let losses = vq_losses(network, images, step < self.free_steps, weight > 0.0);
        Ok(Losses {
            reconstruction: losses.reconstruction,
            quantizer: losses.quantizer,
            others: losses.entropy.map(|entropy| ("entropy", weight, entropy)).into_iter().collect(),
            indices: losses.indices,
            latents: Some(losses.latents),
            image: Some(losses.image.into()),
        })
    }

    fn codebook<'a>(&self, network: &'a mut LlamaGenVqNetwork) -> Option<Codebook<'a>> {
        Some(Codebook { names: EMBEDDING, codes: network.quantizer_mut() })
    }

    fn discriminator(&self) -> DiscriminatorKind {
        DiscriminatorKind::PatchGan
    }

    fn encode(&self, network: &LlamaGenVqNetwork, images: Tensor<4>) -> Tensor<2, Int> {
        network.encode(images)
    }

    fn ids(code: &Tensor<2, Int>) -> Option<Tensor<2, Int>> {
        Some(code.clone())
    }

    fn reconstruct(&self, network: &LlamaGenVqNetwork, ids: &Tensor<2, Int>, _keep: usize) -> Option<Tensor<4>> {
        let cells = self.side / self.config.downsampling();
        Some(network.decode(network.code_vectors(ids.clone(), [cells, cells]), &mut Trace::none()))
    }

    fn config(&self, _network: &LlamaGenVqNetwork, _sample: Option<Tensor<4>>) -> serde_json::Value {
        self.config.to_value()
    }

    fn reconstruction_name(&self) -> &'static str {
        "mse"
    }
}
