//! One step: losses, gradients, the optimiser, the average, and the codebook's care.

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tessera_datasets::{Batch, Stream};

use super::Trainer;
use crate::train::TrainError;
use crate::train::codebook::move_codes;
use crate::train::objective::{Losses, Objective};
use crate::train::parameters::Named;
use crate::train::perceptual::Perceptual;
use crate::train::window::{Terms, Window};

/// What a draw of chance is for.
#[derive(Clone, Copy)]
enum Purpose {
    Losses,
    Codes,
}

impl<O: Objective> Trainer<'_, O> {
    /// Forward and backward passes of one step, the optimiser, the average, and the codebook's care.
    pub(super) fn one_step(&mut self, rate: f64, stream: &mut Stream, window: &mut Window) -> Result<(), TrainError> {
        let passes = self.config.run.accumulate;
        let mut gradients = Named::new();
        let mut latents = None;
        for pass in 0..passes {
            let index = self.step * passes as u64 + pass as u64;
            let batch = stream.next()?;
            let images = to_tensor(batch, &self.device.clone().autodiff());
            let mut rng = self.rng(index, Purpose::Losses);
            let losses = self.objective.losses(&self.network, images.clone(), self.step, &mut rng)?;
            if let Some(indices) = &losses.indices {
                self.codes.add(indices);
                window.add_codes(indices);
            }
            let (total, terms) = self.total(&losses, images.clone())?;
            let mut backward = total.mul_scalar(1.0 / passes as f64).backward();
            for (name, gradient) in self.parameters.gradients(&self.network, &mut backward) {
                if !self.objective.is_trained(&name) {
                    continue;
                }
                let sum = match gradients.remove(&name) {
                    Some(sum) => sum + gradient,
                    None => gradient,
                };
                gradients.insert(name, sum);
            }
            let loss = window.add_pass(terms, images.dims()[0]);
            if !loss.is_finite() {
                return Err(TrainError::Diverged { step: self.step, loss });
            }
            if let (Some(adversary), Some(image)) = (&mut self.adversary, losses.image)
                && self.step >= self.config.loss.adversarial_from
            {
                window.add_term("discriminator", adversary.step(images, image, rate));
            }
            latents = losses.latents;
        }
        let (network, norm) = self.optimizer.step(rate, self.network.clone(), &self.parameters, gradients);
        self.network = network;
        window.add_step(norm);
        self.ema.update(&self.network, &self.parameters, |name| self.objective.is_trained(name));
        if let Some(latents) = latents {
            self.tend_codebook(latents);
        }
        Ok(())
    }

    /// The weighted sum of all terms, and the terms.
    fn total(&mut self, losses: &Losses, images: Tensor<4>) -> Result<(Tensor<1>, Terms), TrainError> {
        let weights = &self.config.loss;
        let mut terms = vec![(self.objective.reconstruction_name(), losses.reconstruction.clone())];
        let mut total = losses.reconstruction.clone().mul_scalar(weights.reconstruction_weight);
        if let Some(quantizer) = &losses.quantizer {
            total = total + quantizer.clone().mul_scalar(weights.quantizer_weight);
            terms.push(("quantizer", quantizer.clone()));
        }
        for (name, weight, value) in &losses.others {
            total = total + value.clone().mul_scalar(*weight);
            terms.push((*name, value.clone()));
        }
        if let Some(image) = &losses.image {
            if weights.perceptual_weight > 0.0 && self.step >= weights.perceptual_from {
                let net = match &mut self.perceptual {
                    Some(net) => net,
                    empty => empty.insert(Perceptual::new(self.device)?),
                };
                let distance = net.loss(image.clone(), images);
                total = total + distance.clone().mul_scalar(weights.perceptual_weight);
                terms.push(("effd", distance));
            }
            if let Some(adversary) = &self.adversary
                && self.step >= weights.adversarial_from
            {
                let fooled = adversary.generator_loss(image.clone());
                total = total + fooled.clone().mul_scalar(weights.adversarial_weight);
                terms.push(("adversarial", fooled));
            }
        }
        terms.push(("total", total.clone()));
        Ok((total, terms))
    }

    /// Starts the codebook from latents after the free steps, and moves dead codes onto latents.
    fn tend_codebook(&mut self, latents: Tensor<3>) {
        let care = &self.config.codebook;
        let done = self.step + 1;
        let codes: Vec<usize> = if done == care.free_steps {
            (0..self.codes.counts().len()).collect()
        } else if care.reseed_every > 0
            && done > care.free_steps
            && (care.reseed_until == 0 || done <= care.reseed_until)
            && (done - care.free_steps).is_multiple_of(care.reseed_every)
        {
            self.codes.dead()
        } else {
            return;
        };
        let mut rng = self.rng(self.step, Purpose::Codes);
        let Some((name, quantizer)) = self.objective.codebook(&mut self.network) else { return };
        move_codes(quantizer, &codes, latents, &mut rng);
        self.ema.adopt_rows(&self.network, &self.parameters, name, &codes);
        self.codes.clear();
    }

    fn rng(&self, index: u64, purpose: Purpose) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.run.seed ^ 0x7e55_e7a0_0000_0000);
        rng.set_stream(index * 2 + purpose as u64);
        rng
    }
}

fn to_tensor(batch: Batch, device: &Device) -> Tensor<4> {
    let side = usize::try_from(batch.image_size).unwrap_or(usize::MAX);
    Tensor::from_data(TensorData::new(batch.images, [batch.batch_size, 3, side, side]), device)
}
