//! Two surfaces by their samples.

use serde::Serialize;

use super::kd_tree::PointTree;
use crate::shape::error::{Result, ShapeError};
use crate::shape::mesh::{Point, Vector};
use crate::shape::sampling::SurfacePoint;

/// SurfaceSamples of a surface: places `[samples]` with unit normals `[samples]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SurfaceSamples {
    /// Where they lie.
    pub places: Vec<Point>,
    /// Normals of the surface there.
    pub normals: Vec<Vector>,
}

impl From<&[SurfacePoint]> for SurfaceSamples {
    fn from(points: &[SurfacePoint]) -> Self {
        Self {
            places: points.iter().map(|point| point.place).collect(),
            normals: points.iter().map(|point| point.normal).collect(),
        }
    }
}

/// From each sample of one surface to the nearest sample of another, both ways.
#[derive(Clone, Debug, PartialEq)]
pub struct Distances {
    /// From each sample of the first surface: distance to the second.
    pub there: Vec<f64>,
    /// From each sample of the second: distance to the first.
    pub back: Vec<f64>,
    /// The samples that were nearest to those of the first.
    pub nearest_there: Vec<usize>,
    /// The samples that were nearest to those of the second.
    pub nearest_back: Vec<usize>,
    /// Mean of |cosine| between a sample's normal and that of the nearest, over both ways.
    pub normal_consistency: f64,
}

/// How much of each surface lies near the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FScore {
    /// The distance that counts as near, exclusive.
    pub threshold: f64,
    /// Share of the first surface's samples (of a prediction) that are near the second (the truth).
    pub precision: f64,
    /// Share of the second surface's samples that are near the first.
    pub recall: f64,
    /// Their harmonic mean; 0 if both are.
    pub f_score: f64,
}

/// Finds the nearest samples, both ways; `a` is usually a prediction, `b` the truth.
///
/// # Errors
/// [`ShapeError::Length`] if one has no samples, or not a normal for each.
pub fn compare_samples(a: &SurfaceSamples, b: &SurfaceSamples) -> Result<Distances> {
    for samples in [a, b] {
        if samples.places.is_empty() {
            return Err(ShapeError::Length { what: "samples of a surface", expected: 1, found: 0 });
        }
        if samples.normals.len() != samples.places.len() {
            let (expected, found) = (samples.places.len(), samples.normals.len());
            return Err(ShapeError::Length { what: "normals", expected, found });
        }
    }
    let one_way = |from: &SurfaceSamples, to: &SurfaceSamples| -> (Vec<usize>, Vec<f64>, f64) {
        let found = PointTree::new(&to.places).nearest_each(&from.places);
        let (nearest, distances): (Vec<usize>, Vec<f64>) = found.into_iter().unzip();
        let pairs = from.normals.iter().zip(&nearest);
        let cosines = pairs.map(|(normal, &nearest)| normal.dot(&to.normals[nearest]).abs());
        let cosine = cosines.sum::<f64>() / from.normals.len() as f64;
        (nearest, distances, cosine)
    };
    let (nearest_there, there, first) = one_way(a, b);
    let (nearest_back, back, second) = one_way(b, a);
    Ok(Distances { there, back, nearest_there, nearest_back, normal_consistency: (first + second) / 2.0 })
}

impl Distances {
    /// Mean of the two mean distances: what most publications call Chamfer distance (L1).
    pub fn chamfer_l1(&self) -> f64 {
        self.chamfer_l1_sum() / 2.0
    }

    /// Sum of the two mean distances, as 3DShape2VecSet reports it.
    pub fn chamfer_l1_sum(&self) -> f64 {
        mean(&self.there, |distance| distance) + mean(&self.back, |distance| distance)
    }

    /// Sum of the two mean squared distances.
    pub fn chamfer_l2sq_sum(&self) -> f64 {
        mean(&self.there, |distance| distance * distance) + mean(&self.back, |distance| distance * distance)
    }

    /// The largest distance from any sample.
    pub fn hausdorff(&self) -> f64 {
        self.there.iter().chain(&self.back).copied().fold(0.0, f64::max)
    }

    /// Precision, recall and F-score: distances under `threshold` count.
    pub fn f_score(&self, threshold: f64) -> FScore {
        let share = |distances: &[f64]| mean(distances, |distance| f64::from(u8::from(distance < threshold)));
        let (precision, recall) = (share(&self.there), share(&self.back));
        let sum = precision + recall;
        let f_score = if sum > 0.0 { 2.0 * precision * recall / sum } else { 0.0 };
        FScore { threshold, precision, recall, f_score }
    }
}

fn mean(values: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    values.iter().map(|&value| of(value)).sum::<f64>() / values.len() as f64
}
