//! How alike are shapes? Distances of surfaces, shared volume and soundness of meshes beside the ones that they should be.

use std::ops::AddAssign;

use serde::Serialize;
use tessera_datasets::shape::{
    FScore, HALF_EXTENT, Mesh, MeshCheck, Normalisation, Point, ShapeError, SurfaceSampler, SurfaceSamples,
    TriangleTree, check_mesh, compare_samples, overlap,
};

/// How shapes are compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShapeOptions {
    /// Points drawn on each surface.
    pub samples: usize,
    /// Places in `[-1, 1]^3` for the shared volume.
    pub places: usize,
    /// Distances that count as near for the F-score.
    pub thresholds: Vec<f64>,
    /// Seed of points and places.
    pub seed: u64,
    /// Brings both shapes to where the true one is centred with its longest half at 0.95. Without it they are taken as they are.
    pub normalise: bool,
}

impl Default for ShapeOptions {
    /// 100,000 points and places, threshold 0.02, normalised.
    fn default() -> Self {
        Self { samples: 100_000, places: 100_000, thresholds: vec![0.02], seed: 0, normalise: true }
    }
}

impl ShapeOptions {
    /// Seeds of the points of a shape and of those of the one that it should be.
    pub fn sampling_seeds(&self) -> [u64; 2] {
        [self.seed, !self.seed]
    }
}

/// One shape beside the one that it should be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShapePair {
    /// What both are called.
    pub name: String,
    /// How alike they are.
    pub figures: ShapeFigures,
    /// Soundness of the shape.
    pub check: MeshCheck,
    /// Soundness of the one that it should be.
    pub true_check: MeshCheck,
}

/// Figures of one pair, or the mean of many.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ShapeFigures {
    /// Mean of both mean distances to the nearest sample.
    pub chamfer_l1: f64,
    /// Sum of both mean squared distances.
    pub chamfer_l2sq_sum: f64,
    /// The largest distance.
    pub hausdorff: f64,
    /// Mean |cosine| between normals of nearest samples.
    pub normal_consistency: f64,
    /// Precision, recall and F-score for each threshold.
    pub f_scores: Vec<FScore>,
    /// Shared volume over joint volume.
    pub iou: f64,
    /// Share of places on which both agree.
    pub accuracy: f64,
}

/// Many pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ShapeReport {
    /// How they were compared.
    pub options: ShapeOptions,
    /// Pairs compared.
    pub shapes: usize,
    /// Mean of their figures; `None` without pairs.
    pub mean: Option<ShapeFigures>,
    /// Share of shapes that are closed, oriented 2-manifolds.
    pub manifold: f64,
    /// Every pair, in the order given.
    pub pairs: Vec<ShapePair>,
}

/// A mesh as it is compared: samples of its surface, and what is inside.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredShape {
    samples: SurfaceSamples,
    /// Whether each of [`ShapeOptions::places`] lies inside: where the winding number is over a half, so that open meshes can be compared.
    pub inside: Vec<bool>,
}

impl MeasuredShape {
    /// Measures a mesh where it stands. Two that are compared need different seeds, or equal shapes would be sampled at equal points.
    ///
    /// # Errors
    /// [`ShapeError`] if it has no faces or no area.
    pub fn new(mesh: &Mesh, options: &ShapeOptions, sampling_seed: u64) -> Result<Self, ShapeError> {
        let samples = SurfaceSampler::new(mesh)?.draw(options.samples, sampling_seed).as_slice().into();
        let inside = TriangleTree::new(mesh).contains_each(&uniform(options.places, options.seed));
        Ok(Self { samples, inside })
    }

    /// How alike it is to the shape that it should be.
    ///
    /// # Errors
    /// [`ShapeError`] if one has no samples or places, or they have different numbers of places.
    pub fn compare(&self, truth: &Self, options: &ShapeOptions) -> Result<ShapeFigures, ShapeError> {
        let distances = compare_samples(&self.samples, &truth.samples)?;
        let shared = overlap(&self.inside, &truth.inside)?;
        Ok(ShapeFigures {
            chamfer_l1: distances.chamfer_l1(),
            chamfer_l2sq_sum: distances.chamfer_l2sq_sum(),
            hausdorff: distances.hausdorff(),
            normal_consistency: distances.normal_consistency,
            f_scores: options.thresholds.iter().map(|&threshold| distances.f_score(threshold)).collect(),
            iou: shared.iou(),
            accuracy: shared.accuracy(),
        })
    }
}

/// Compares a shape with the one that it should be.
///
/// # Errors
/// [`ShapeError`] if one has no faces or no area, or there are no samples.
pub fn compare_shapes(name: &str, shape: &Mesh, truth: &Mesh, options: &ShapeOptions) -> Result<ShapePair, ShapeError> {
    let (check, true_check) = (check_mesh(shape), check_mesh(truth));
    let moved = match options.normalise {
        true => {
            let normalisation = Normalisation::of(truth, HALF_EXTENT)?;
            let moved = |mesh: &Mesh| mesh.moved(|place| normalisation.apply(place));
            Some((moved(shape)?, moved(truth)?))
        }
        false => None,
    };
    let (shape, truth) = moved.as_ref().map_or((shape, truth), |(shape, truth)| (shape, truth));
    let [seed, true_seed] = options.sampling_seeds();
    let (shape, truth) = (MeasuredShape::new(shape, options, seed)?, MeasuredShape::new(truth, options, true_seed)?);
    Ok(ShapePair { name: name.to_owned(), figures: shape.compare(&truth, options)?, check, true_check })
}

/// Places uniform in `[-1, 1]^3`.
fn uniform(count: usize, seed: u64) -> Vec<Point> {
    use rand::{Rng as _, SeedableRng as _};
    let mut chance = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| Point::from([(); 3].map(|()| chance.random_range(-1.0..1.0)))).collect()
}

impl ShapeReport {
    /// Sums pairs up.
    pub fn new(options: ShapeOptions, pairs: Vec<ShapePair>) -> Self {
        let mut sum: Option<ShapeFigures> = None;
        for pair in &pairs {
            match &mut sum {
                Some(sum) => *sum += &pair.figures,
                None => sum = Some(pair.figures.clone()),
            }
        }
        let count = pairs.len() as f64;
        let sound = pairs.iter().filter(|pair| pair.check.manifold).count() as f64;
        let manifold = if pairs.is_empty() { 0.0 } else { sound / count };
        Self { options, shapes: pairs.len(), mean: sum.map(|sum| sum.divided(count)), manifold, pairs }
    }
}

impl AddAssign<&Self> for ShapeFigures {
    fn add_assign(&mut self, other: &Self) {
        self.chamfer_l1 += other.chamfer_l1;
        self.chamfer_l2sq_sum += other.chamfer_l2sq_sum;
        self.hausdorff += other.hausdorff;
        self.normal_consistency += other.normal_consistency;
        for (score, other) in self.f_scores.iter_mut().zip(&other.f_scores) {
            score.precision += other.precision;
            score.recall += other.recall;
            score.f_score += other.f_score;
        }
        self.iou += other.iou;
        self.accuracy += other.accuracy;
    }
}

impl ShapeFigures {
    fn divided(mut self, by: f64) -> Self {
        let parts = [
            &mut self.chamfer_l1,
            &mut self.chamfer_l2sq_sum,
            &mut self.hausdorff,
            &mut self.normal_consistency,
            &mut self.iou,
            &mut self.accuracy,
        ];
        parts.into_iter().for_each(|part| *part /= by);
        for score in &mut self.f_scores {
            score.precision /= by;
            score.recall /= by;
            score.f_score /= by;
        }
        self
    }
}
