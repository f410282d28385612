//! [`LatentDescent`]: latents that move down a gradient.

use burn::tensor::Tensor;

/// Latents of shapes on their way to better ones: Adam, with a rate that goes down to a tenth along a cosine.
#[derive(Debug, Clone)]
pub struct LatentDescent {
    latents: Tensor<3>,
    mean: Tensor<3>,
    square: Tensor<3>,
    rate: f64,
    planned: usize,
    done: usize,
}

impl LatentDescent {
    /// Starts from `latents [shapes, latents, width]` (without autodiff); `rate` is how far the first of `planned` steps moves a number.
    pub fn new(latents: Tensor<3>, rate: f64, planned: usize) -> Self {
        let [mean, square] = [latents.zeros_like(), latents.zeros_like()];
        Self { latents, mean, square, rate, planned, done: 0 }
    }

    /// Where it is now, `[shapes, latents, width]`.
    pub fn latents(&self) -> &Tensor<3> {
        &self.latents
    }

    /// A step against the `gradient` of a mean over the shapes, of which each moves as if it were alone: its scale does not matter but near Adam's
    /// epsilon, where the mean would bring it.
    pub fn step(&mut self, gradient: Tensor<3>) {
        const BETAS: [f64; 2] = [0.9, 0.99];
        let gradient = gradient.mul_scalar(self.latents.dims()[0] as f64);
        let blend =
            |old: &Tensor<3>, new: Tensor<3>, beta: f64| old.clone().mul_scalar(beta) + new.mul_scalar(1.0 - beta);
        self.mean = blend(&self.mean, gradient.clone(), BETAS[0]);
        self.square = blend(&self.square, gradient.square(), BETAS[1]);
        let count = (self.done + 1) as f64;
        let [mean, square] = [(&self.mean, BETAS[0]), (&self.square, BETAS[1])]
            .map(|(moment, beta)| moment.clone().div_scalar(1.0 - beta.powf(count)));
        // Steps beyond those planned stay at the last rate.
        let turn = std::f64::consts::PI * self.done.min(self.planned) as f64 / self.planned.max(1) as f64;
        let rate = self.rate * (0.55 + 0.45 * turn.cos());
        self.latents = self.latents.clone() - mean / square.sqrt().add_scalar(1e-8) * rate;
        self.done += 1;
    }
}
