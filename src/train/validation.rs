//! Judging a network by pictures that it never learnt from.

use burn::tensor::{Device, Tensor};
use tessera_datasets::{Picture, Sheet, psnr};
use tessera_tokenizers::quantizers::CodeCounts;

use super::objective::Objective;
use super::{TrainError, ValidationLine};
use crate::squares::{parts, to_pictures, to_tensor};

/// Pictures of the model's size and what is measured on them.
pub struct Validation {
    pictures: Vec<Picture>,
    device: Device,
}

/// Side of a picture on a sample sheet, in pixels.
const CELL: u32 = 128;

impl Validation {
    /// On pictures of one size; `device` has no autodiff.
    pub fn new(pictures: Vec<Picture>, device: Device) -> Self {
        Self { pictures, device }
    }

    /// Whether there is anything to judge by.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// Some of the pictures at once, `[pictures, 3, side, side]` in 0..=1; `None` without any.
    pub fn sample(&self) -> Option<Tensor<4>> {
        const MOST: usize = 32;
        let first = parts(&self.pictures).next()?;
        Some(to_tensor(first.get(..first.len().min(MOST))?, &self.device))
    }

    /// PSNR for each number of tokens, use of the codebook, and what the objective has to say beside.
    ///
    /// # Errors
    /// [`TrainError::Data`] if reconstructions do not fit the pictures.
    pub fn judge<O: Objective>(&self, objective: &O, network: &O::Network) -> Result<ValidationLine, TrainError> {
        let counts = objective.token_counts();
        let mut sums = vec![0.0; counts.len()];
        let mut codes = CodeCounts::new(objective.codes());
        let mut loss = None;
        for pictures in parts(&self.pictures) {
            let images = to_tensor(pictures, &self.device);
            if let Some(value) = objective.validation_loss(network, images.clone()) {
                let value = f64::from(value.into_scalar::<f32>()) * pictures.len() as f64;
                loss = Some(loss.unwrap_or(0.0) + value);
            }
            let code = objective.encode(network, images);
            if let Some(ids) = O::ids(&code) {
                codes.add(&ids);
            }
            for (sum, &keep) in sums.iter_mut().zip(&counts) {
                let Some(images) = objective.reconstruct(network, &code, keep) else { continue };
                for (picture, image) in pictures.iter().zip(to_pictures(images)?) {
                    // An exact copy counts as 99 dB: a mean cannot hold infinity.
                    *sum += psnr(picture, &image)?.min(99.0);
                }
            }
        }
        let count = self.pictures.len().max(1) as f64;
        Ok(ValidationLine {
            psnr: counts.into_iter().zip(sums).map(|(tokens, sum)| (tokens, sum / count)).collect(),
            usage: codes.usage(),
            perplexity: codes.perplexity(),
            loss: loss.map(|sum| sum / count),
            ..ValidationLine::default()
        })
    }

    /// `count` pictures from all over the set, each in a row with its reconstructions from more and more tokens.
    ///
    /// # Errors
    /// [`TrainError::Data`] if nothing can be drawn.
    pub fn sheet<O: Objective>(
        &self,
        objective: &O,
        network: &O::Network,
        count: usize,
    ) -> Result<Picture, TrainError> {
        let step = (self.pictures.len() / count.max(1)).max(1);
        let pictures: Vec<Picture> = self.pictures.iter().step_by(step).take(count).cloned().collect();
        let code = objective.encode(network, to_tensor(&pictures, &self.device));
        let mut columns = vec![("original".to_owned(), pictures)];
        for keep in objective.token_counts() {
            if let Some(images) = objective.reconstruct(network, &code, keep) {
                columns.push((keep.to_string(), to_pictures(images)?));
            }
        }
        let side = columns.first().and_then(|(_, pictures)| pictures.first()).map_or(1, Picture::width);
        let cell = (CELL / side).max(1).saturating_mul(side).max(CELL / 2).saturating_add(8);
        let width = cell.saturating_mul(u32::try_from(columns.len()).unwrap_or(u32::MAX)).saturating_add(8);
        let mut sheet = Sheet::new().with_cell_side(CELL).with_max_width(width);
        for row in 0..count {
            for (label, pictures) in &columns {
                if let Some(picture) = pictures.get(row) {
                    sheet = sheet.push(picture.clone(), &[label]);
                }
            }
        }
        Ok(sheet.draw()?)
    }
}

/// Powers of two, and all tokens.
pub fn token_counts(all: usize) -> Vec<usize> {
    let mut counts: Vec<usize> =
        std::iter::successors(Some(1_usize), |count| count.checked_mul(2)).take_while(|count| *count < all).collect();
    counts.push(all);
    counts
}
