//! What reconstructions come to beside their pixels: the perceptual and the adversarial term.

use burn::tensor::Tensor;

use super::Trainer;
use crate::train::TrainError;
use crate::train::balance::balance;
use crate::train::objective::Reconstruction;
use crate::train::perceptual::Perceptual;
use crate::train::training::Training;

/// A term of the loss.
pub(super) struct PictureTerm {
    pub(super) name: &'static str,
    pub(super) weight: f64,
    pub(super) value: Tensor<1>,
}

impl<T: Training> Trainer<'_, T> {
    /// The terms of reconstructions of `images [batch, 3, side, side]` that this step has.
    pub(super) fn picture_terms(
        &mut self,
        made: &Reconstruction,
        images: &Tensor<4>,
    ) -> Result<Vec<PictureTerm>, TrainError> {
        let Reconstruction { image, last_layer } = made;
        let weights = &self.config.loss;
        let mut terms = Vec::new();
        let perceptual = match weights.perceptual_weight > 0.0 && self.step >= weights.perceptual_from {
            true => Some(match &mut self.perceptual {
                Some(net) => &*net,
                empty => empty.insert(Perceptual::new(self.device)?),
            }),
            false => None,
        };
        if let Some(net) = perceptual {
            let value = net.loss(image.clone(), images.clone());
            terms.push(PictureTerm { name: "effd", weight: weights.perceptual_weight, value });
        }
        let Some(adversary) = self.adversary.as_ref().filter(|_| self.step >= weights.adversarial_from) else {
            return Ok(terms);
        };
        let mut weight = weights.adversarial_weight;
        if let Some(last) = last_layer.as_ref().filter(|_| adversary.is_balanced) {
            let reconstruction = |image: Tensor<4>| {
                // Of pixels in -1..=1.
                let error = (image.clone() - images.clone()).square().mean().mul_scalar(4.0);
                match perceptual {
                    Some(net) => error + net.loss(image, images.clone()).mul_scalar(weights.perceptual_weight),
                    None => error,
                }
            };
            let balance = balance(last, reconstruction, |image| adversary.generator_loss(image));
            weight *= balance;
            // Told, not minimised.
            let value = Tensor::from_floats([balance], &image.device()).detach();
            terms.push(PictureTerm { name: "balance", weight: 0.0, value });
        }
        terms.push(PictureTerm { name: "adversarial", weight, value: adversary.generator_loss(image.clone()) });
        Ok(terms)
    }
}
