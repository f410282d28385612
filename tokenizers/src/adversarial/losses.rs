//! Losses between a generator and its discriminator.

use burn::tensor::{Tensor, activation};

/// What the generator minimises: `-mean(D(fake))`, logits of any shape `[batch, 1, h, w]`.
pub fn generator_loss(logits_fake: Tensor<4>) -> Tensor<1> {
    logits_fake.mean().neg()
}

/// What the discriminator minimises: `(mean relu(1 - D(real)) + mean relu(1 + D(fake))) / 2`.
pub fn hinge_loss(logits_real: Tensor<4>, logits_fake: Tensor<4>) -> Tensor<1> {
    let real = activation::relu(logits_real.neg().add_scalar(1.0)).mean();
    let fake = activation::relu(logits_fake.add_scalar(1.0)).mean();
    (real + fake).mul_scalar(0.5)
}

/// [`hinge_loss`] with a leaky ReLU of slope 0.01 in place of the ReLU: logits that are right by more than 1 still count. Source: DualToken's
/// training script.
pub fn leaky_hinge_loss(logits_real: Tensor<4>, logits_fake: Tensor<4>) -> Tensor<1> {
    const SLOPE: f64 = 0.01;
    let real = activation::leaky_relu(logits_real.neg().add_scalar(1.0), SLOPE).mean();
    let fake = activation::leaky_relu(logits_fake.add_scalar(1.0), SLOPE).mean();
    (real + fake).mul_scalar(0.5)
}

/// LeCam regularisation: keeps each side's mean logit near the other's running mean.
///
/// Source: Tseng et al. 2021, "Regularizing Generative Adversarial Networks under Limited Data".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeCam {
    /// Running mean of the real logits.
    pub ema_real: f32,
    /// Running mean of the fake logits.
    pub ema_fake: f32,
    /// Weight of the term, 0.001 in the released recipe.
    pub weight: f64,
    /// Decay of the running means, 0.999 in the released recipe.
    pub decay: f32,
}

impl Default for LeCam {
    fn default() -> Self {
        Self { ema_real: 0.0, ema_fake: 0.0, weight: 0.001, decay: 0.999 }
    }
}

impl LeCam {
    /// `weight * (relu(mean(real) - ema_fake)^2 + relu(ema_real - mean(fake))^2)` with the means as they stand;
    /// call [`LeCam::update`] afterwards.
    pub fn loss(&self, logits_real: Tensor<4>, logits_fake: Tensor<4>) -> Tensor<1> {
        let real = activation::relu(logits_real.mean().sub_scalar(self.ema_fake));
        let fake = activation::relu(logits_fake.mean().neg().add_scalar(self.ema_real));
        (real.powf_scalar(2.0) + fake.powf_scalar(2.0)).mul_scalar(self.weight)
    }

    /// The running means after this step's mean logits.
    pub fn update(self, mean_real: f32, mean_fake: f32) -> Self {
        let blend = |old: f32, new: f32| old * self.decay + new * (1.0 - self.decay);
        Self { ema_real: blend(self.ema_real, mean_real), ema_fake: blend(self.ema_fake, mean_fake), ..self }
    }
}
