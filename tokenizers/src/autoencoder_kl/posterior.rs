//! The distribution that the encoder gives.

use burn::tensor::Tensor;

/// A normal distribution for every value of the latents.
#[derive(Debug, Clone)]
pub struct Posterior {
    /// `[batch, c, h, w]`
    pub mean: Tensor<4>,
    /// Logarithm of the variance, in -30..=20: `[batch, c, h, w]`
    pub logvar: Tensor<4>,
}

impl Posterior {
    /// Of moments `[batch, 2c, h, w]`: means, then logarithms of variances, which are clamped.
    pub fn new(moments: Tensor<4>) -> Self {
        let [batch, channels, height, width] = moments.dims();
        let half = channels / 2;
        let mean = moments.clone().slice([0..batch, 0..half, 0..height, 0..width]);
        let logvar = moments.slice([0..batch, half..channels, 0..height, 0..width]).clamp(-30.0, 20.0);
        Self { mean, logvar }
    }

    /// Latents `[batch, c, h, w]` that are known exactly: a deviation of next to nothing.
    pub fn certain(mean: Tensor<4>) -> Self {
        let logvar = mean.zeros_like().sub_scalar(30.0);
        Self { mean, logvar }
    }

    /// Standard deviations `[batch, c, h, w]`.
    pub fn std(&self) -> Tensor<4> {
        self.logvar.clone().mul_scalar(0.5).exp()
    }

    /// Latents `[batch, c, h, w]` of standard normal `noise` of the same shape.
    pub fn sample(&self, noise: Tensor<4>) -> Tensor<4> {
        self.mean.clone() + self.std() * noise
    }

    /// Kullback-Leibler divergence from the standard normal distribution, in nats: the sum over the values of each item,
    /// `[batch]`.
    pub fn kl(&self) -> Tensor<1> {
        let [batch, ..] = self.mean.dims();
        let terms = self.mean.clone() * self.mean.clone() + self.logvar.clone().exp() - self.logvar.clone();
        (terms - 1.0).mul_scalar(0.5).reshape([batch as i32, -1]).sum_dim(1).reshape([batch])
    }
}
