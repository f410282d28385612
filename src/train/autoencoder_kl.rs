//! Training a KL autoencoder, the stage before FlexTok's.

use burn::tensor::{Device, Int, Tensor};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tessera_layers::{ParamSpec, Trace};
use tessera_tokenizers::autoencoder_kl::{self, AutoencoderKl, AutoencoderKlConfig, Posterior};
use tessera_tokenizers::flextok::flow_noise;

use super::architecture::open_weights;
use super::objective::{Losses, Objective};
use super::{TrainConfig, TrainError};

/// Reconstruction of pictures through sampled latents, with the divergence of the posterior from a standard normal.
pub struct AutoencoderKlObjective {
    config: AutoencoderKlConfig,
    specs: Vec<ParamSpec>,
    side: usize,
    kl_weight: f64,
    colour_weight: f64,
}

impl AutoencoderKlObjective {
    /// The objective and the network at its start, on an autodiff device.
    ///
    /// # Errors
    /// [`TrainError`] if the stage does not fit the architecture, or weights cannot be loaded.
    pub fn new(
        config: &TrainConfig,
        architecture: AutoencoderKlConfig,
        device: &Device,
    ) -> Result<(Self, AutoencoderKl), TrainError> {
        super::objectives::only_single(config, "an AutoencoderKL")?;
        if let Some(vae) = &config.model.vae {
            return Err(TrainError::Invalid {
                key: "model.vae",
                expected: "none for an AutoencoderKL (--from starts from weights)".to_owned(),
                found: vae.display().to_string(),
            });
        }
        let (cell, side) = (architecture.downsampling(), architecture.sample_size.unwrap_or(256));
        if side == 0 || !side.is_multiple_of(cell) {
            return Err(TrainError::Invalid {
                key: "model.architecture",
                expected: format!("a sample_size (the side of the pictures) that is a multiple of {cell}"),
                found: side.to_string(),
            });
        }
        let (network, specs) = match &config.model.from {
            Some(from) => autoencoder_kl::load(&architecture, &open_weights(from)?, device)?,
            None => autoencoder_kl::random(&architecture, config.run.seed, device)?,
        };
        let (kl_weight, colour_weight) = (config.loss.kl_weight, config.loss.colour_weight);
        Ok((Self { config: architecture, specs, side, kl_weight, colour_weight }, network))
    }

    fn posterior(network: &AutoencoderKl, images: Tensor<4>) -> Posterior {
        Posterior::new(network.moments(images.mul_scalar(2.0).sub_scalar(1.0), &mut Trace::none()))
    }

    fn picture(network: &AutoencoderKl, latents: Tensor<4>) -> Tensor<4> {
        network.decode(latents, &mut Trace::none()).mul_scalar(0.5).add_scalar(0.5)
    }
}

/// Mean square of Co and Cg of differences `[batch, 3, height, width]`.
fn colour_error(difference: Tensor<4>) -> Tensor<1> {
    let [batch, _, height, width] = difference.dims();
    let plane = |channel: usize| difference.clone().slice([0..batch, channel..channel + 1, 0..height, 0..width]);
    let [red, green, blue] = [0, 1, 2].map(plane);
    let co = (red.clone() - blue.clone()).mul_scalar(0.5);
    let cg = green.mul_scalar(0.5) - (red + blue).mul_scalar(0.25);
    (co.square() + cg.square()).mean()
}

impl Objective for AutoencoderKlObjective {
    type Network = AutoencoderKl;
    type Code = Tensor<4>;

    fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    fn is_trained(&self, _name: &str) -> bool {
        true
    }

    fn image_size(&self) -> usize {
        self.side
    }

    fn token_counts(&self) -> Vec<usize> {
        let cells = self.side / self.config.downsampling();
        vec![cells * cells]
    }

    fn codes(&self) -> usize {
        0
    }

    fn losses(
        &self,
        network: &AutoencoderKl,
        images: Tensor<4>,
        _step: u64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Losses, TrainError> {
        let posterior = Self::posterior(network, images.clone());
        let noise = flow_noise(rng.random(), 0, posterior.mean.dims(), &images.device());
        let image = Self::picture(network, posterior.sample(noise));
        let [_, channels, height, width] = posterior.mean.dims();
        let kl = posterior.kl().mean().div_scalar((channels * height * width) as f64);
        let difference = image.clone() - images;
        let mut others = vec![("kl", self.kl_weight, kl)];
        if self.colour_weight > 0.0 {
            others.push(("colour", self.colour_weight, colour_error(difference.clone())));
        }
        Ok(Losses {
            reconstruction: difference.square().mean(),
            quantizer: None,
            others,
            indices: None,
            latents: None,
            image: Some(image.into()),
        })
    }

    fn encode(&self, network: &AutoencoderKl, images: Tensor<4>) -> Tensor<4> {
        Self::posterior(network, images).mean
    }

    fn ids(_code: &Tensor<4>) -> Option<Tensor<2, Int>> {
        None
    }

    fn reconstruct(&self, network: &AutoencoderKl, code: &Tensor<4>, _keep: usize) -> Option<Tensor<4>> {
        Some(Self::picture(network, code.clone()))
    }

    /// Its `scaling_factor` makes the latents of the validation pictures vary by one.
    fn config(&self, network: &AutoencoderKl, sample: Option<Tensor<4>>) -> serde_json::Value {
        let mut config = self.config.clone();
        if let Some(images) = sample {
            let latents = self.encode(network, images);
            let values: Vec<f64> = latents.into_data().iter().collect();
            let count = values.len().max(1) as f64;
            let mean = values.iter().sum::<f64>() / count;
            let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
            if deviation > 1e-6 {
                config.scaling_factor = Some(1.0 / deviation);
            }
        }
        config.to_value()
    }

    fn reconstruction_name(&self) -> &'static str {
        "mse"
    }
}
