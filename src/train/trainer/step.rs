//! One step: losses, gradients, the optimiser, the average, and the codebook's care.

use burn::tensor::Tensor;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tessera_tokenizers::quantizers::move_codes;

use super::Trainer;
use super::picture_terms::PictureTerm;
use crate::train::TrainError;
use crate::train::feed::Feed as _;
use crate::train::parameters::Named;
use crate::train::training::{Pass, Training};
use crate::train::window::{Terms, Window};

/// What a draw of chance is for.
#[derive(Clone, Copy)]
enum Purpose {
    Losses,
    Codes,
}

impl<T: Training> Trainer<'_, T> {
    /// Forward and backward passes of one step, the optimiser, the average, and the codebook's care. Gives how many codes were
    /// unused before that.
    pub(super) fn one_step(&mut self, rate: f64, window: &mut Window) -> Result<usize, TrainError> {
        let passes = self.config.run.accumulate;
        let mut gradients = Named::new();
        let mut latents = None;
        for pass in 0..passes {
            let index = self.step * passes as u64 + pass as u64;
            let batch = self.feed.next()?;
            let mut rng = self.rng(index, Purpose::Losses);
            let pass = self.training.losses(&self.network, batch, self.step, &mut rng)?;
            let (total, terms) = self.total(&pass)?;
            let Pass { losses, images } = pass;
            if let Some(indices) = &losses.indices {
                self.codes.add(indices);
                window.add_codes(indices);
            }
            let mut backward = total.mul_scalar(1.0 / passes as f64).backward();
            self.training.gradients(&backward);
            for (name, gradient) in self.parameters.gradients(&self.network, &mut backward) {
                if !self.training.is_trained(&name) {
                    continue;
                }
                let sum = match gradients.remove(&name) {
                    Some(sum) => sum + gradient,
                    None => gradient,
                };
                gradients.insert(name, sum);
            }
            let loss = window.add_pass(terms, self.feed.batch_size());
            if !loss.is_finite() {
                return Err(TrainError::Diverged { step: self.step, loss });
            }
            if let (Some(adversary), Some(image), Some(images)) = (&mut self.adversary, losses.image, images)
                && self.step >= self.config.loss.adversarial_from
            {
                window.add_term("discriminator", adversary.step(images, image.image, rate));
            }
            latents = losses.latents;
        }
        let (network, norm) = self.optimizer.step(rate, self.network.clone(), &self.parameters, gradients);
        self.network = network;
        let mut rng = self.rng(self.step, Purpose::Codes);
        self.training.after_step(&mut self.network, &mut rng);
        window.add_step(norm);
        self.ema.update(&self.network, &self.parameters, |name| self.training.is_trained(name));
        let dead = self.codes.dead();
        let unused = dead.len();
        if let Some(latents) = latents {
            self.tend_codebook(latents, dead);
        }
        Ok(unused)
    }

    /// The weighted sum of all terms, and the terms.
    fn total(&mut self, pass: &Pass) -> Result<(Tensor<1>, Terms), TrainError> {
        let Pass { losses, images } = pass;
        let weights = &self.config.loss;
        let mut terms = vec![(self.training.main_term(), losses.reconstruction.clone())];
        let mut total = losses.reconstruction.clone().mul_scalar(weights.reconstruction_weight);
        if let Some(quantizer) = &losses.quantizer {
            total = total + quantizer.clone().mul_scalar(weights.quantizer_weight);
            terms.push(("quantizer", quantizer.clone()));
        }
        for (name, weight, value) in &losses.others {
            total = total + value.clone().mul_scalar(*weight);
            terms.push((*name, value.clone()));
        }
        if let (Some(made), Some(images)) = (&losses.image, images) {
            for PictureTerm { name, weight, value } in self.picture_terms(made, images)? {
                total = total + value.clone().mul_scalar(weight);
                terms.push((name, value));
            }
        }
        terms.push(("total", total.clone()));
        Ok((total, terms))
    }

    /// Starts the codebook from latents after the free steps, and moves `dead` codes onto latents.
    fn tend_codebook(&mut self, latents: Tensor<3>, dead: Vec<usize>) {
        let care = &self.config.codebook;
        let done = self.step + 1;
        let codes: Vec<usize> = if done == care.free_steps {
            (0..self.codes.counts().len()).collect()
        } else if care.reseed_every > 0
            && done > care.free_steps
            && (care.reseed_until == 0 || done <= care.reseed_until)
            && (done - care.free_steps).is_multiple_of(care.reseed_every)
        {
            dead
        } else {
            return;
        };
        let mut rng = self.rng(self.step, Purpose::Codes);
        let Some(codebook) = self.training.codebook(&mut self.network) else { return };
        let names = codebook.names;
        move_codes(codebook.codes, &codes, latents, &mut rng);
        for name in names {
            self.ema.adopt_rows(&self.network, &self.parameters, name, &codes);
        }
        self.codes.clear();
    }

    fn rng(&self, index: u64, purpose: Purpose) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.run.seed ^ 0x7e55_e7a0_0000_0000);
        rng.set_stream(index * 2 + purpose as u64);
        rng
    }
}
