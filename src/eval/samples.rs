//! How good are a generator's samples? Their distance from pictures that it never saw, and from those that it learnt from.

use burn::tensor::Device;
use serde::Serialize;
use tessera_datasets::Picture;

use super::feature_net::FeatureNet;
use super::nearest::{Nearest, nearest};
use super::sets::{Features, SetDistances};
use crate::Error;

/// Samples beside pictures that are no samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampleReport {
    /// Samples.
    pub samples: usize,
    /// Pictures that they are compared with.
    pub against: usize,
    /// Distances of the two sets.
    pub sets: SetDistances,
    /// Whether samples repeat what was learnt, where that is at hand.
    pub repetition: Option<Repetition>,
}

/// How near samples lie to training pictures, beside how near pictures lie to them that were never learnt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Repetition {
    /// Training pictures.
    pub learnt: usize,
    /// Median distance of a sample from the nearest of them.
    pub median_of_samples: f64,
    /// Median distance of a picture that was never learnt from the nearest of them.
    pub median_of_others: f64,
    /// Share of samples that lie nearer to a training picture than 95 in 100 of the pictures that were never learnt: about 0.05
    /// where nothing is repeated.
    pub share_near: f64,
    /// The nearest training picture of each sample.
    pub nearest: Vec<Nearest>,
}

/// Compares samples with pictures that were never learnt (`against`) and with those that were (`learnt`), by the features of each
/// network; repetition by those of the first. `progress` hears how many pictures are done.
///
/// # Errors
/// [`Error::Distribution`] if a set has fewer than two pictures or features are not finite.
pub fn compare_samples(
    samples: &[Picture],
    against: &[Picture],
    learnt: &[Picture],
    nets: &[FeatureNet],
    device: &Device,
    progress: &mut dyn FnMut(usize),
) -> Result<SampleReport, Error> {
    let mut done = 0;
    let mut features = |pictures: &[Picture]| -> Result<Features, Error> {
        let mut features = Features::new(nets);
        for part in pictures.chunks(AT_ONCE) {
            features.add(nets, part, device)?;
            done += part.len();
            progress(done);
        }
        Ok(features)
    };
    let (of_samples, of_others) = (features(samples)?, features(against)?);
    let sets = of_samples.distances(nets, &of_others)?;
    let repetition = match learnt.is_empty() {
        true => None,
        false => repetition(&of_samples, &of_others, &features(learnt)?)?,
    };
    Ok(SampleReport { samples: samples.len(), against: against.len(), sets, repetition })
}

/// Pictures between two calls of `progress`.
const AT_ONCE: usize = 64;

fn repetition(samples: &Features, others: &Features, learnt: &Features) -> Result<Option<Repetition>, Error> {
    let (Some(samples), Some(others), Some(learnt)) = (samples.first(), others.first(), learnt.first()) else {
        return Ok(None);
    };
    let found = nearest(samples, learnt)?;
    let sorted = |nearest: &[Nearest]| {
        let mut distances: Vec<f64> = nearest.iter().map(|nearest| nearest.distance).collect();
        distances.sort_by(f64::total_cmp);
        distances
    };
    let at = |distances: &[f64], share: f64| {
        let place = (share * distances.len() as f64) as usize;
        distances.get(place).or(distances.last()).copied().unwrap_or(f64::NAN)
    };
    let (of_samples, of_others) = (sorted(&found), sorted(&nearest(others, learnt)?));
    let near = at(&of_others, 0.05);
    let share_near = of_samples.iter().filter(|&&distance| distance < near).count() as f64 / of_samples.len() as f64;
    Ok(Some(Repetition {
        learnt: learnt.len(),
        median_of_samples: at(&of_samples, 0.5),
        median_of_others: at(&of_others, 0.5),
        share_near,
        nearest: found,
    }))
}
