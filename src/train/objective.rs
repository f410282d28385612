//! [`Objective`]: what the trainer needs to know of a tokenizer.

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use rand_chacha::ChaCha8Rng;
use tessera_layers::ParamSpec;
use tessera_tokenizers::quantizers::VectorQuantizer;

use super::TrainError;

/// How one kind of tokenizer is trained. The trainer does the rest: data, optimiser, checkpoints, reports.
pub trait Objective {
    /// The network that is trained.
    type Network: Module;

    /// The parameters by released name.
    fn specs(&self) -> &[ParamSpec];

    /// Whether the optimiser may change this parameter.
    fn is_trained(&self, name: &str) -> bool;

    /// Side of the square pictures in pixels.
    fn image_size(&self) -> usize;

    /// The numbers of leading tokens that validation decodes, all tokens last.
    fn token_counts(&self) -> Vec<usize>;

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

    /// The codebook.
    fn codebook<'a>(&self, network: &'a mut Self::Network) -> &'a mut VectorQuantizer;

    /// The released name of the codebook's parameter.
    fn codebook_name(&self) -> &'static str;

    /// Pictures from tokens `[batch, tokens]`, of which the first `keep` count; not clamped; `None` in a stage that makes
    /// no pictures.
    fn reconstruct(&self, network: &Self::Network, ids: Tensor<2, Int>, keep: usize) -> Option<Tensor<4>>;

    /// Token ids `[batch, tokens]` of pictures.
    fn encode(&self, network: &Self::Network, images: Tensor<4>) -> Tensor<2, Int>;

    /// `config.json` of the model.
    fn config(&self) -> serde_json::Value;

    /// The name of the reconstruction term.
    fn reconstruction_name(&self) -> &'static str;
}

/// What a network makes of a batch.
pub struct Losses {
    /// The reconstruction term, before its weight.
    pub reconstruction: Tensor<1>,
    /// The quantizer's term, before its weight.
    pub quantizer: Option<Tensor<1>>,
    /// Codes used, `[batch, tokens]`.
    pub indices: Option<Tensor<2, Int>>,
    /// Latents as the codebook compares them, `[batch, tokens, channels]`, without a gradient.
    pub latents: Tensor<3>,
    /// Reconstructed pictures `[batch, 3, side, side]`, for perceptual and adversarial terms.
    pub image: Option<Tensor<4>>,
}
