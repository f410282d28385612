//! [`Training`]: all that the loop knows of what it trains.

use std::collections::HashMap;

use burn::module::Module;
use burn::tensor::{Gradients, Tensor};
use rand_chacha::ChaCha8Rng;
use tessera_datasets::Picture;
use tessera_layers::ParamSpec;

use super::codebook::Codebook;
use super::feed::Feed;
use super::objective::Losses;
use super::{DiscriminatorKind, TrainError, ValidationLine};

/// Batches, losses and judgement of one network. The loop does the rest: optimiser, average, checkpoints, reports.
pub trait Training {
    /// The network that is trained.
    type Network: Module;
    /// Where its batches come from.
    type Feed: Feed;

    /// The parameters by released name.
    fn specs(&self) -> &[ParamSpec];

    /// Whether the optimiser may change this parameter.
    fn is_trained(&self, name: &str) -> bool;

    /// Whether this parameter belongs to the finished model, and does not only help in training it.
    fn is_released(&self, _name: &str) -> bool {
        true
    }

    /// Codes whose uses are counted; 0 for none.
    fn codes(&self) -> usize {
        0
    }

    /// Runs the network on a batch. All of chance comes from `rng`.
    ///
    /// # Errors
    /// [`TrainError`] if the network cannot be trained so.
    fn losses(
        &self,
        network: &Self::Network,
        batch: <Self::Feed as Feed>::Batch,
        step: u64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Pass, TrainError>;

    /// The codebook whose dead codes are moved; `None` where there is none.
    fn codebook<'a>(&self, _network: &'a mut Self::Network) -> Option<Codebook<'a>> {
        None
    }

    /// The model's own recipe of adversarial training; `None` where there are no pictures.
    fn adversarial_recipe(&self) -> Option<AdversarialRecipe> {
        None
    }

    /// Hears the gradients of a pass, for what learns beside the network.
    fn gradients(&self, _gradients: &Gradients) {}

    /// Changes the network after the optimiser's step, for what learns without gradients.
    fn after_step(&self, _network: &mut Self::Network, _rng: &mut ChaCha8Rng) {}

    /// What held-out data say of the network, on the device without autodiff; `None` without such data.
    ///
    /// # Errors
    /// [`TrainError`] if it cannot be run on them.
    fn judge(&self, network: &Self::Network) -> Result<Option<ValidationLine>, TrainError>;

    /// A picture of about `count` samples; `None` where there is nothing to see.
    ///
    /// # Errors
    /// [`TrainError`] if nothing can be drawn.
    fn sheet(&self, network: &Self::Network, count: usize) -> Result<Option<Picture>, TrainError>;

    /// `config.json` of the finished network.
    fn config(&self, network: &Self::Network) -> serde_json::Value;

    /// What the finished weight file carries beside its tensors.
    fn metadata(&self) -> HashMap<String, String> {
        HashMap::new()
    }

    /// The name of the main term.
    fn main_term(&self) -> &'static str;
}

/// How a model learns against a discriminator where the settings say nothing else.
#[derive(Debug, Clone, Copy)]
pub struct AdversarialRecipe {
    /// The discriminator.
    pub discriminator: DiscriminatorKind,
    /// Side of the pictures that it judges, in pixels.
    pub side: usize,
    /// Whether its term is balanced against the reconstruction, by the last layer that losses tell of.
    pub is_balanced: bool,
}

/// What a batch comes to.
pub struct Pass {
    /// Terms of the loss.
    pub losses: Losses,
    /// The pictures that `losses.image` should be.
    pub images: Option<Tensor<4>>,
}
