//! The discriminator of adversarial training and its own optimiser.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use tessera_layers::{ParamSource, ParamSpec};
use tessera_tokenizers::LoadError;
use tessera_tokenizers::adversarial::{
    Discriminator, DiscriminatorConfig, LeCam, PatchGan, ResidualDiscriminator, generator_loss, hinge_loss,
    leaky_hinge_loss,
};

use super::optimizer::NamedOptimizer;
use super::parameters::Parameters;
use super::training::AdversarialRecipe;
use super::{AdversarialBalance, DiscriminatorKind, LossConfig, OptimizerConfig, TrainError};

/// A discriminator, its optimiser and LeCAM's running means.
pub struct Adversary {
    pub(super) discriminator: Critic,
    pub(super) optimizer: NamedOptimizer,
    pub(super) parameters: Parameters,
    pub(super) specs: Vec<ParamSpec>,
    pub(super) lecam: LeCam,
    /// Whether its term is balanced against the reconstruction.
    pub(super) is_balanced: bool,
}

/// One of the discriminators.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a training holds one")]
pub enum Critic {
    Blurred(Discriminator),
    PatchGan(PatchGan),
    Residual(ResidualDiscriminator),
}

impl Critic {
    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Blurred(net) => net.forward(images),
            Self::PatchGan(net) => net.forward(images),
            Self::Residual(net) => net.forward(images),
        }
    }

    fn loss(&self, real: Tensor<4>, fake: Tensor<4>) -> Tensor<1> {
        match self {
            Self::Residual(_) => leaky_hinge_loss(real, fake),
            Self::Blurred(_) | Self::PatchGan(_) => hinge_loss(real, fake),
        }
    }
}

impl Adversary {
    /// A discriminator at its start.
    ///
    /// # Errors
    /// [`TrainError`] if its width or the pictures do not fit, or the recipe has nothing to balance by.
    pub fn new(
        loss: &LossConfig,
        optimizer: &OptimizerConfig,
        recipe: AdversarialRecipe,
        seed: u64,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let AdversarialRecipe { discriminator: kind, side, is_balanced } = recipe;
        if loss.adversarial_balance == Some(AdversarialBalance::Adaptive) && !is_balanced {
            return Err(TrainError::Invalid {
                key: "loss.adversarial_balance",
                expected: "fixed (adaptive is for DualToken alone)".to_owned(),
                found: "adaptive".to_owned(),
            });
        }
        let is_balanced = is_balanced && loss.adversarial_balance != Some(AdversarialBalance::Fixed);
        let source = ParamSource::seeded(seed, device);
        let (root, width) = (source.root(), loss.discriminator_width);
        let discriminator = match loss.discriminator.unwrap_or(kind) {
            DiscriminatorKind::Blurred => {
                let sizes = DiscriminatorConfig::default();
                let sizes = DiscriminatorConfig { hidden_channels: width.unwrap_or(sizes.hidden_channels), ..sizes };
                sizes.check().map_err(LoadError::from)?;
                Critic::Blurred(Discriminator::new(&root, &sizes)?)
            }
            DiscriminatorKind::PatchGan if side < PatchGan::SMALLEST => {
                return Err(TrainError::Invalid {
                    key: "loss.discriminator",
                    expected: format!(
                        "blurred or residual for pictures of {side} pixels: patch_gan needs {}",
                        PatchGan::SMALLEST
                    ),
                    found: "patch_gan".to_owned(),
                });
            }
            DiscriminatorKind::PatchGan => Critic::PatchGan(PatchGan::new(&root, width.unwrap_or(64))?),
            DiscriminatorKind::Residual => Critic::Residual(ResidualDiscriminator::new(&root, width.unwrap_or(64))?),
        };
        let specs = source.into_taken();
        let parameters = Parameters::new(&specs);
        let lecam = LeCam { weight: loss.lecam_weight, ..LeCam::default() };
        Ok(Self { discriminator, optimizer: NamedOptimizer::new(optimizer), parameters, specs, lecam, is_balanced })
    }

    /// The term that asks reconstructions to look real: `-mean D(image)`.
    pub fn generator_loss(&self, image: Tensor<4>) -> Tensor<1> {
        generator_loss(self.discriminator.forward(image))
    }

    /// One step of the discriminator on pictures and reconstructions; its loss.
    pub fn step(&mut self, real: Tensor<4>, fake: Tensor<4>, rate: f64) -> f64 {
        let logits_real = self.discriminator.forward(real);
        let logits_fake = self.discriminator.forward(fake.detach());
        let loss = self.discriminator.loss(logits_real.clone(), logits_fake.clone())
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
