//! Training a DualToken.

use std::cell::RefCell;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use rand_chacha::ChaCha8Rng;
use tessera_layers::{ParamSpec, Trace};
use tessera_tokenizers::dualtoken::{self, DualTokenConfig, DualTokenNetwork, losses};
use tessera_tokenizers::quantizers::ResidualUpdate;

use super::alignment::SemanticHeads;
use super::architecture::open_weights;
use super::balance::LastLayer;
use super::objective::{Losses, Objective, Reconstruction};
use super::objectives::single_or_narrow;
use super::teacher::{Target, Teacher};
use super::tower::{HELPERS, heads};
use super::{DiscriminatorKind, Start, TrainConfig, TrainError};

/// Pixels, commitments and semantic features; perceptual and adversarial terms are the trainer's. The released weights of
/// pixels and commitments are 5 each (`reconstruction_weight`, `quantizer_weight`).
///
/// The teacher is the SigLIP as it stands at the start, frozen; with a weight of the alignment it is EfficientNet-Lite0, whose channels
/// heads that are no part of the finished model bring the features to. Codebooks learn by moving averages after each step, from the
/// latents of its passes; within a step all depths search the same tables.
pub struct DualTokenObjective {
    config: DualTokenConfig,
    specs: Vec<ParamSpec>,
    teacher: SemanticTeacher,
    /// Pixel and semantic latents of the passes of a step.
    pending: RefCell<[Vec<Tensor<4>>; 2]>,
}

/// Where the semantic features come from that are learnt.
enum SemanticTeacher {
    Start(Box<DualTokenNetwork>),
    Aligned(f64, Box<Teacher>),
}

/// The network that is trained: the model, and what only helps to train it.
#[derive(Module, Debug)]
pub struct DualTokenTraining {
    model: DualTokenNetwork,
    heads: Option<SemanticHeads>,
}

/// The network that the settings start from, and its parameters by released name.
///
/// # Errors
/// [`TrainError`] if weights cannot be loaded.
pub(super) fn start(
    config: &TrainConfig,
    architecture: &DualTokenConfig,
    device: &Device,
) -> Result<(DualTokenNetwork, Vec<ParamSpec>), TrainError> {
    if let Some(from) = &config.model.from {
        let (model, specs) = dualtoken::load(architecture, &open_weights(from)?, device)?;
        return Ok((model.into_network(), specs));
    }
    let (model, specs) = match config.model.start {
        Start::Released => dualtoken::random(architecture, config.run.seed, device)?,
        Start::Narrow => dualtoken::random_narrow(architecture, config.run.seed, device)?,
    };
    let mut network = model.into_network();
    network.start_averages();
    Ok((network, specs))
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
    ) -> Result<(Self, DualTokenTraining), TrainError> {
        single_or_narrow(config, "a DualToken")?;
        let (model, mut specs) = start(config, &architecture, device)?;
        let weight = config.loss.alignment_weight;
        let (teacher, heads) = match weight > 0.0 {
            true => {
                let heads = heads(&mut specs, config.run.seed, architecture.hidden_size, Target::Last, device)?;
                (SemanticTeacher::Aligned(weight, Box::new(Teacher::new(device)?)), Some(heads))
            }
            false => (SemanticTeacher::Start(Box::new(model.clone())), None),
        };
        let network = DualTokenTraining { model, heads };
        Ok((Self { config: architecture, specs, teacher, pending: RefCell::default() }, network))
    }

    fn updates(&self) -> [ResidualUpdate; 2] {
        let inner = &self.config.rqvaesiglip;
        [inner.vq_pix.update(false), inner.vq_sem.update(false)]
    }
}

impl Objective for DualTokenObjective {
    type Network = DualTokenTraining;
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

    fn is_released(&self, name: &str) -> bool {
        !name.starts_with(HELPERS)
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
        training: &DualTokenTraining,
        images: Tensor<4>,
        _step: u64,
        _rng: &mut ChaCha8Rng,
    ) -> Result<Losses, TrainError> {
        let network = &training.model;
        let teacher = match &self.teacher {
            SemanticTeacher::Start(start) => Some(start.plain_features(images.clone().mul_scalar(2.0).sub_scalar(1.0))),
            SemanticTeacher::Aligned(..) => None,
        };
        let quantizers = [network.pixel_quantizer(), network.semantic_quantizer()];
        let mut pixel_codes = None;
        let found = losses(network, images.clone(), teacher.as_ref(), &mut |kind, latents| {
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
        let mut others = Vec::new();
        others.extend(found.terms.semantic.map(|semantic| ("semantic", 1.0, semantic.total())));
        if let (SemanticTeacher::Aligned(weight, net), Some(heads)) = (&self.teacher, &training.heads) {
            let alignment = heads.loss(found.features, net, Target::Last, images, self.config.grid());
            others.push(("alignment", *weight, alignment));
        }
        let last_layer = LastLayer { features: found.pixel_features, layer: network.last_layer().clone() };
        Ok(Losses {
            reconstruction: found.terms.reconstruction,
            quantizer: Some(found.terms.pixel_commitment + found.terms.semantic_commitment),
            others,
            indices: pixel_codes.as_ref().and_then(Self::ids),
            latents: None,
            image: Some(Reconstruction { image: found.image, last_layer: Some(last_layer) }),
        })
    }

    fn after_step(&self, training: &mut DualTokenTraining, rng: &mut ChaCha8Rng) {
        let pending = self.pending.take();
        for ((quantizer, update), latents) in
            training.model.quantizers_mut().into_iter().zip(self.updates()).zip(pending)
        {
            if !latents.is_empty() {
                quantizer.forward_and_update(Tensor::cat(latents, 0), &update, rng);
            }
        }
    }

    fn discriminator(&self) -> DiscriminatorKind {
        DiscriminatorKind::Residual
    }

    fn is_balanced(&self) -> bool {
        true
    }

    fn encode(&self, training: &DualTokenTraining, images: Tensor<4>) -> Tensor<4, Int> {
        let network = &training.model;
        let latents = network.latents(images.mul_scalar(2.0).sub_scalar(1.0), &mut Trace::none());
        network.pixel_quantizer().forward(latents.pixel).codes
    }

    fn ids(code: &Tensor<4, Int>) -> Option<Tensor<2, Int>> {
        let [batch, rows, columns, depth] = code.dims();
        Some(code.clone().reshape([batch, rows * columns * depth]))
    }

    fn reconstruct(&self, training: &DualTokenTraining, code: &Tensor<4, Int>, _keep: usize) -> Option<Tensor<4>> {
        let network = &training.model;
        let vectors = network.pixel_quantizer().vectors(code.clone());
        Some(network.pixels(vectors, &mut Trace::none()).add_scalar(1.0).mul_scalar(0.5))
    }

    fn config(&self, _network: &DualTokenTraining, _sample: Option<Tensor<4>>) -> serde_json::Value {
        self.config.to_value()
    }

    fn reconstruction_name(&self) -> &'static str {
        "mse"
    }
}
