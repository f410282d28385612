//! The discriminator of adversarial training and its own optimiser.

use burn::tensor::{Device, Tensor};
use tessera_layers::{ParamSource, ParamSpec};
use tessera_tokenizers::LoadError;
use tessera_tokenizers::adversarial::{Discriminator, DiscriminatorConfig, LeCam, generator_loss, hinge_loss};

use super::optimizer::NamedAdamW;
use super::parameters::Parameters;
use super::{LossConfig, OptimizerConfig, TrainError};

/// The discriminator of the papers' second stage: hinge loss with LeCAM regularisation.
pub struct Adversary {
    pub(super) discriminator: Discriminator,
    pub(super) optimizer: NamedAdamW,
    pub(super) parameters: Parameters,
    pub(super) specs: Vec<ParamSpec>,
    pub(super) lecam: LeCam,
}

impl Adversary {
    /// A discriminator at its start.
    ///
    /// # Errors
    /// [`TrainError`] if its width does not fit.
    pub fn new(loss: &LossConfig, optimizer: &OptimizerConfig, seed: u64, device: &Device) -> Result<Self, TrainError> {
        let config =
            DiscriminatorConfig { hidden_channels: loss.discriminator_width, ..DiscriminatorConfig::default() };
        config.check().map_err(LoadError::from)?;
        let source = ParamSource::seeded(seed, device);
        let discriminator = Discriminator::new(&source.root(), &config)?;
        let specs = source.into_taken();
        let parameters = Parameters::new(&specs);
        let lecam = LeCam { weight: loss.lecam_weight, ..LeCam::default() };
        Ok(Self { discriminator, optimizer: NamedAdamW::new(optimizer), parameters, specs, lecam })
    }

    /// The term that asks reconstructions to look real: `-mean D(image)`.
    pub fn generator_loss(&self, image: Tensor<4>) -> Tensor<1> {
        generator_loss(self.discriminator.forward(image))
    }

    /// One step of the discriminator on pictures and reconstructions; its loss.
    pub fn step(&mut self, real: Tensor<4>, fake: Tensor<4>, rate: f64) -> f64 {
        let logits_real = self.discriminator.forward(real);
        let logits_fake = self.discriminator.forward(fake.detach());
        let loss = hinge_loss(logits_real.clone(), logits_fake.clone())
            + self.lecam.loss(logits_real.clone(), logits_fake.clone());
        let mut gradients = loss.clone().backward();
        let gradients = self.parameters.gradients(&self.discriminator, &mut gradients);
        let (discriminator, _) = self.optimizer.step(rate, self.discriminator.clone(), &self.parameters, gradients);
        self.discriminator = discriminator;
        let means = Tensor::cat(vec![loss, logits_real.mean(), logits_fake.mean()], 0).detach();
        let means: Vec<f32> = means.into_data().iter().collect();
        if let [loss, real, fake] = means[..] {
            self.lecam = self.lecam.update(real, fake);
            return f64::from(loss);
        }
        f64::NAN
    }
}
