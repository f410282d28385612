//! [`Objective`]: what the trainer needs to know of a network.

use std::collections::HashMap;

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use rand_chacha::ChaCha8Rng;
use tessera_layers::ParamSpec;

use super::balance::LastLayer;
use super::codebook::Codebook;
use super::{DiscriminatorKind, TrainError};

/// How one kind of network is trained. The trainer does the rest: data, optimiser, checkpoints, reports.
pub trait Objective {
    /// The network that is trained.
    type Network: Module;
    /// What it makes of pictures: token ids, or latents.
    type Code;

    /// The parameters by released name.
    fn specs(&self) -> &[ParamSpec];

    /// Whether the optimiser may change this parameter.
    fn is_trained(&self, name: &str) -> bool;

    /// Whether this parameter belongs to the finished model, and does not only help in training it.
    fn is_released(&self, _name: &str) -> bool {
        true
    }

    /// Side of the square pictures in pixels.
    fn image_size(&self) -> usize;

    /// The numbers of leading tokens that validation decodes, all tokens last.
    fn token_counts(&self) -> Vec<usize>;

    /// Codes that a token can be; 0 for networks without tokens.
    fn codes(&self) -> usize;

    /// Runs the network on pictures `[batch, 3, side, side]` in 0..=1. All of chance comes from `rng`.
    ///
    /// # Errors
    /// [`TrainError`] if the network cannot be trained so.
    fn losses(
        &self,
        network: &Self::Network,
        images: Tensor<4>,
        step: u64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Losses, TrainError>;

    /// The codebook whose dead codes are moved; `None` where there is none.
    fn codebook<'a>(&self, _network: &'a mut Self::Network) -> Option<Codebook<'a>> {
        None
    }

    /// The discriminator of the model's own recipe.
    fn discriminator(&self) -> DiscriminatorKind {
        DiscriminatorKind::Blurred
    }

    /// Whether the model's own recipe keeps the adversarial term's gradient near the reconstruction's; losses then tell of the last layer.
    fn is_balanced(&self) -> bool {
        false
    }

    /// Changes the network after the optimiser's step, for what learns without gradients.
    fn after_step(&self, _network: &mut Self::Network, _rng: &mut ChaCha8Rng) {}

    /// Codes of pictures.
    fn encode(&self, network: &Self::Network, images: Tensor<4>) -> Self::Code;

    /// The token ids `[batch, tokens]` among the codes; `None` for latents.
    fn ids(code: &Self::Code) -> Option<Tensor<2, Int>>;

    /// Pictures from codes, of which the first `keep` tokens count; not clamped; `None` in a stage that makes no pictures.
    fn reconstruct(&self, network: &Self::Network, code: &Self::Code, keep: usize) -> Option<Tensor<4>>;

    /// What validation reports of pictures in 0..=1 beside, or in the place of, their reconstructions.
    fn validation_loss(&self, _network: &Self::Network, _images: Tensor<4>) -> Option<Tensor<1>> {
        None
    }

    /// `config.json` of the finished network. `sample` holds validation pictures, where there are any, for numbers that are
    /// measured.
    fn config(&self, network: &Self::Network, sample: Option<Tensor<4>>) -> serde_json::Value;

    /// What the finished weight file carries beside its tensors.
    fn metadata(&self) -> HashMap<String, String> {
        HashMap::new()
    }

    /// The name of the reconstruction term.
    fn reconstruction_name(&self) -> &'static str;
}

/// What a network makes of a batch.
pub struct Losses {
    /// The reconstruction term, before its weight.
    pub reconstruction: Tensor<1>,
    /// The quantizer's term, before its weight.
    pub quantizer: Option<Tensor<1>>,
    /// Further terms: name, weight, value before the weight.
    pub others: Vec<(&'static str, f64, Tensor<1>)>,
    /// Codes used, `[batch, tokens]`.
    pub indices: Option<Tensor<2, Int>>,
    /// Latents as the codebook compares them, `[batch, tokens, channels]`, without a gradient; `None` without a codebook.
    pub latents: Option<Tensor<3>>,
    /// Reconstructed pictures, for perceptual and adversarial terms.
    pub image: Option<Reconstruction>,
}

/// Reconstructed pictures of a batch.
pub struct Reconstruction {
    /// `[batch, 3, side, side]` in 0..=1, not clamped.
    pub image: Tensor<4>,
    /// What made them, of objectives that balance ([`Objective::is_balanced`]).
    pub last_layer: Option<LastLayer>,
}

impl From<Tensor<4>> for Reconstruction {
    fn from(image: Tensor<4>) -> Self {
        Self { image, last_layer: None }
    }
}
