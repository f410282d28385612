//! Trainings on pictures, made of an [`Objective`].

use std::collections::HashMap;

use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use tessera_datasets::{Picture, validation};
use tessera_layers::ParamSpec;

use super::codebook::Codebook;
use super::feed::{PictureFeed, open_loader};
use super::objective::Objective;
use super::training::{AdversarialRecipe, Pass, Training};
use super::validation::Validation;
use super::{TrainConfig, TrainError, ValidationLine};

/// A tokenizer or autoencoder that learns to give pictures back.
pub struct OnPictures<O> {
    objective: O,
    validation: Validation,
}

impl<O: Objective> OnPictures<O> {
    /// The training and its pictures. `device` has no autodiff.
    ///
    /// # Errors
    /// [`TrainError::Data`] if pictures cannot be opened.
    pub fn new(config: &TrainConfig, objective: O, device: &Device) -> Result<(Self, PictureFeed), TrainError> {
        let side = objective.image_size();
        let feed = PictureFeed::new(open_loader(config, side)?, device.clone().autodiff());
        let side = u32::try_from(side).unwrap_or(u32::MAX);
        let pictures = match &config.validation.source {
            Some(source) => validation(source, side, config.validation.validation_pictures)?
                .into_iter()
                .map(|example| example.picture)
                .collect(),
            None => Vec::new(),
        };
        Ok((Self { objective, validation: Validation::new(pictures, device.clone()) }, feed))
    }
}

impl<O: Objective> Training for OnPictures<O> {
    type Network = O::Network;
    type Feed = PictureFeed;

    fn specs(&self) -> &[ParamSpec] {
        self.objective.specs()
    }

    fn is_trained(&self, name: &str) -> bool {
        self.objective.is_trained(name)
    }

    fn is_released(&self, name: &str) -> bool {
        self.objective.is_released(name)
    }

    fn codes(&self) -> usize {
        self.objective.codes()
    }

    fn losses(
        &self,
        network: &O::Network,
        images: Tensor<4>,
        step: u64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Pass, TrainError> {
        let losses = self.objective.losses(network, images.clone(), step, rng)?;
        Ok(Pass { losses, images: Some(images) })
    }

    fn codebook<'a>(&self, network: &'a mut O::Network) -> Option<Codebook<'a>> {
        self.objective.codebook(network)
    }

    fn adversarial_recipe(&self) -> Option<AdversarialRecipe> {
        let objective = &self.objective;
        Some(AdversarialRecipe {
            discriminator: objective.discriminator(),
            side: objective.image_size(),
            is_balanced: objective.is_balanced(),
        })
    }

    fn after_step(&self, network: &mut O::Network, rng: &mut ChaCha8Rng) {
        self.objective.after_step(network, rng);
    }

    fn judge(&self, network: &O::Network) -> Result<Option<ValidationLine>, TrainError> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        self.validation.judge(&self.objective, network).map(Some)
    }

    fn sheet(&self, network: &O::Network, count: usize) -> Result<Option<Picture>, TrainError> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        self.validation.sheet(&self.objective, network, count).map(Some)
    }

    fn config(&self, network: &O::Network) -> serde_json::Value {
        self.objective.config(network, self.validation.sample())
    }

    fn metadata(&self) -> HashMap<String, String> {
        self.objective.metadata()
    }

    fn main_term(&self) -> &'static str {
        self.objective.reconstruction_name()
    }
}
