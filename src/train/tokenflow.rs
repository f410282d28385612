//! Training a TokenFlow.

use burn::tensor::{Device, Int, Tensor};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tessera_layers::{ParamSpec, Trace};
use tessera_tokenizers::tokenflow::{
    self, SemanticBranch, SemanticEncoder, TokenFlowConfig, TokenFlowNetwork, losses, semantic_loss, statistics,
};

use super::architecture::open_weights;
use super::codebook::Codebook;
use super::objective::{Losses, Objective};
use super::objectives::movable_codes;
use super::teacher::{Target, Teacher};
use super::{DiscriminatorKind, Start, TrainConfig, TrainError};

/// Pixels, codebooks and commitment, and the semantic features; perceptual and adversarial terms are the trainer's.
///
/// The teacher is the semantic encoder as it stands at the start, frozen: of a run that starts from pretrained weights, the
/// released one. It takes part where features are reconstructed in the encoder's own width, as those of a SigLIP are; a
/// CLIP's are compared in its joint space, whose projection no checkpoint of a TokenFlow holds, so that there the term is left
/// out. With a weight of the alignment the teacher is EfficientNet-Lite0 in its place: `decoder_out_dim` must be the 112 channels of
/// its map, which has one place for each cell of the grid, or its last 1280.
pub struct TokenFlowObjective {
    config: TokenFlowConfig,
    specs: Vec<ParamSpec>,
    teacher: Option<SemanticBranch>,
    alignment: Option<Alignment>,
}

/// EfficientNet-Lite0 in the teacher's place, and the weight of its term.
struct Alignment {
    weight: f64,
    net: Teacher,
    target: Target,
}

/// The network that the settings start from, and its parameters by released name.
///
/// # Errors
/// [`TrainError`] if weights cannot be loaded.
pub(super) fn start(
    config: &TrainConfig,
    architecture: &TokenFlowConfig,
    device: &Device,
) -> Result<(TokenFlowNetwork, Vec<ParamSpec>), TrainError> {
    let (model, specs) = match (&config.model.from, config.model.start) {
        (Some(from), _) => tokenflow::load(architecture, &open_weights(from)?, device)?,
        (None, Start::Released) => tokenflow::random(architecture, config.run.seed, device)?,
        (None, Start::Narrow) => tokenflow::random_narrow(architecture, config.run.seed, device)?,
    };
    Ok((model.into_network(), specs))
}

/// Whether a parameter takes part: all but what is never run of a SigLIP.
pub(super) fn is_run(architecture: &TokenFlowConfig, name: &str) -> bool {
    let SemanticEncoder::SiglipVision(sizes) = &architecture.semantic_encoder else { return true };
    let Some(rest) = name.strip_prefix("encoder_vqkd.vision_model.") else { return true };
    let last = format!("encoder.layers.{}.", sizes.layers.saturating_sub(1));
    !(rest.starts_with("head.") || rest.starts_with("post_layernorm.") || rest.starts_with(&last))
}

/// Share of the steps that leave out a scale.
const DROPPED: f64 = 0.1;

impl TokenFlowObjective {
    /// The objective and the network at its start, on an autodiff device.
    ///
    /// # Errors
    /// [`TrainError`] if settings do not fit the architecture, or weights cannot be loaded.
    pub fn new(
        config: &TrainConfig,
        architecture: TokenFlowConfig,
        device: &Device,
    ) -> Result<(Self, TokenFlowNetwork), TrainError> {
        movable_codes(config, "a TokenFlow", "whose decoders only ever see pairs of codes")?;
        let (network, specs) = start(config, &architecture, device)?;
        let alignment = match config.loss.alignment_weight {
            weight if weight > 0.0 => {
                let target = Target::of_width("decoder_out_dim", architecture.decoder_out_dim)?;
                Some(Alignment { weight, net: Teacher::new(device)?, target })
            }
            _ => None,
        };
        let compares = architecture.decoder_out_dim == architecture.semantic_width() && alignment.is_none();
        let teacher = compares.then(|| network.semantic_branch().clone());
        Ok((Self { config: architecture, specs, teacher, alignment }, network))
    }

    /// The scales of a step: all, or now and then all but one that is not the first.
    fn sides(&self, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let mut sides = self.config.scales.clone();
        if sides.len() > 2 && rng.random_bool(DROPPED) {
            sides.remove(rng.random_range(1..sides.len()));
        }
        sides
    }
}

impl Objective for TokenFlowObjective {
    type Network = TokenFlowNetwork;
    type Code = Tensor<2, Int>;

    fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    fn is_trained(&self, name: &str) -> bool {
        is_run(&self.config, name)
    }

    fn image_size(&self) -> usize {
        self.config.image_size
    }

    fn token_counts(&self) -> Vec<usize> {
        self.config.scales().ends()
    }

    fn codes(&self) -> usize {
        self.config.codebook_size
    }

    fn codebook<'a>(&self, network: &'a mut TokenFlowNetwork) -> Option<Codebook<'a>> {
        let names = &["quantize.embedding_vqkd.weight", "quantize.embedding_vqgan.weight"];
        Some(Codebook { names, codes: network.quantizer_mut() })
    }

    fn losses(
        &self,
        network: &TokenFlowNetwork,
        images: Tensor<4>,
        _step: u64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Losses, TrainError> {
        let found = losses(network, images.clone(), &self.sides(rng));
        let mut others = Vec::new();
        if let Some(Alignment { weight, net, target }) = &self.alignment {
            let features = net.grid(images.clone(), *target, self.config.grid()).autodiff();
            others.push(("semantic", *weight, semantic_loss(found.semantic.clone(), features)));
        }
        let signed = images.mul_scalar(2.0).sub_scalar(1.0);
        if let Some(teacher) = &self.teacher {
            let features = teacher.features(signed.clone(), &mut Trace::none()).detach();
            others.push(("semantic", 1.0, semantic_loss(found.semantic, features)));
        }
        if self.config.entropy_loss_ratio > 0.0 {
            let latents = network.latents(signed, &mut Trace::none());
            others.push(("entropy", self.config.entropy_loss_ratio, statistics(network, latents).entropy));
        }
        Ok(Losses {
            reconstruction: found.reconstruction,
            quantizer: Some(found.codebook + found.commitment),
            others,
            indices: Some(found.ids),
            latents: Some(found.compared),
            image: Some(found.image.into()),
        })
    }

    fn discriminator(&self) -> DiscriminatorKind {
        DiscriminatorKind::PatchGan
    }

    fn encode(&self, network: &TokenFlowNetwork, images: Tensor<4>) -> Tensor<2, Int> {
        let latents = network.latents(images.mul_scalar(2.0).sub_scalar(1.0), &mut Trace::none());
        network.quantize(latents, &mut |_| ()).ids
    }

    fn ids(code: &Tensor<2, Int>) -> Option<Tensor<2, Int>> {
        Some(code.clone())
    }

    fn reconstruct(&self, network: &TokenFlowNetwork, ids: &Tensor<2, Int>, keep: usize) -> Option<Tensor<4>> {
        let sum = network.sum(ids.clone().narrow(1, 0, keep), None);
        Some(network.pixels(sum, &mut Trace::none()).add_scalar(1.0).mul_scalar(0.5))
    }

    fn config(&self, _network: &TokenFlowNetwork, _sample: Option<Tensor<4>>) -> serde_json::Value {
        self.config.to_value()
    }

    fn reconstruction_name(&self) -> &'static str {
        "mse"
    }
}
