//! How far two sets of features lie apart: kernel distance (KID) and Frechet distance.

use nalgebra::{DMatrix, DVector};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// What a distance of two sets cannot be computed of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DistributionError {
    /// A set is too small.
    #[error("a distance of distributions needs at least {needed} pictures in each set, found {found}: add pictures")]
    TooFew {
        /// Pictures that are needed.
        needed: usize,
        /// Pictures of the smaller set.
        found: usize,
    },
    /// Features do not fit each other.
    #[error("expected features of length {expected}, found {found} values: use one network for both sets")]
    Width {
        /// Length of one picture's features.
        expected: usize,
        /// What came.
        found: usize,
    },
    /// A feature is NaN or infinite.
    #[error("a feature is {0}: the picture or the network's file is damaged")]
    NotFinite(f32),
    /// Options that leave nothing to average.
    #[error("a kernel distance needs at least 1 subset of at least 2 pictures")]
    NoSubsets,
    /// The device gave no f32 values.
    #[error("the device gave no features: {0}")]
    Device(String),
}

/// Features of pictures, each `width` long.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSet {
    width: usize,
    values: Vec<f32>,
}

impl FeatureSet {
    /// An empty set of features of length `width`.
    pub fn new(width: usize) -> Self {
        Self { width, values: Vec::new() }
    }

    /// Adds the features of one picture or several, one behind the other.
    ///
    /// # Errors
    /// [`DistributionError`] if they are no whole number of features, or one value is not finite.
    pub fn extend(&mut self, values: &[f32]) -> Result<(), DistributionError> {
        if self.width == 0 || !values.len().is_multiple_of(self.width) {
            return Err(DistributionError::Width { expected: self.width, found: values.len() });
        }
        if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
            return Err(DistributionError::NotFinite(value));
        }
        self.values.extend_from_slice(values);
        Ok(())
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    /// Whether no picture was added.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Length of one picture's features.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The features of each picture.
    pub(super) fn features(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }

    /// Every picture, a column each.
    fn columns(&self) -> DMatrix<f64> {
        DMatrix::from_iterator(self.width, self.len(), self.values.iter().map(|&value| f64::from(value)))
    }
}

/// How a kernel distance is averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelOptions {
    /// Number of subsets.
    pub subsets: usize,
    /// Pictures of each set in a subset; no more are taken than the smaller set has.
    pub subset_size: usize,
    /// Of the draw of subsets.
    pub seed: u64,
}

impl Default for KernelOptions {
    /// 100 subsets of 1,000 pictures, as is usual for KID.
    fn default() -> Self {
        Self { subsets: 100, subset_size: 1000, seed: 0 }
    }
}

/// A kernel distance: zero on average for sets of one distribution, slightly negative as often as positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KernelDistance {
    /// Mean over the subsets.
    pub mean: f64,
    /// Standard deviation over the subsets.
    pub deviation: f64,
    /// Subsets that were drawn.
    pub subsets: usize,
    /// Pictures of each set in a subset.
    pub subset_size: usize,
}

/// The kernel distance of two sets: unbiased squared maximum mean discrepancy with the kernel `(x.y / width + 1)^3`, over
/// subsets drawn without replacement. Unlike the Frechet distance it has no bias with few pictures.
///
/// Sources: Binkowski et al. 2018, "Demystifying MMD GANs", section 4 (KID); Gretton et al. 2012, "A Kernel Two-Sample
/// Test", lemma 6 (the estimator).
///
/// # Errors
/// [`DistributionError`] if a set has fewer than two pictures, the lengths of features differ, or `options` leaves nothing
/// to average.
pub fn kernel_distance(
    a: &FeatureSet,
    b: &FeatureSet,
    options: &KernelOptions,
) -> Result<KernelDistance, DistributionError> {
    check(a, b)?;
    let size = options.subset_size.min(a.len()).min(b.len());
    if options.subsets == 0 || size < 2 {
        return Err(DistributionError::NoSubsets);
    }
    // Drawn one after the other, so that the result does not depend on the number of threads.
    let mut chance = ChaCha8Rng::seed_from_u64(options.seed);
    let mut draw = |set: &FeatureSet| rand::seq::index::sample(&mut chance, set.len(), size).into_vec();
    let draws: Vec<[Vec<usize>; 2]> = (0..options.subsets).map(|_| [draw(a), draw(b)]).collect();
    let [a, b] = [a.columns(), b.columns()];
    let one = |[first, second]: &[Vec<usize>; 2]| discrepancy(&a.select_columns(first), &b.select_columns(second));
    let values: Vec<f64> = draws.par_iter().map(one).collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    Ok(KernelDistance { mean, deviation: variance.sqrt(), subsets: options.subsets, subset_size: size })
}

/// Unbiased squared maximum mean discrepancy of the columns of two matrices with as many columns.
fn discrepancy(a: &DMatrix<f64>, b: &DMatrix<f64>) -> f64 {
    let width = a.nrows() as f64;
    let kernel = |x: &DMatrix<f64>, y: &DMatrix<f64>| x.tr_mul(y).map(|product| (product / width + 1.0).powi(3));
    let count = a.ncols() as f64;
    let within = |x: &DMatrix<f64>| {
        let values = kernel(x, x);
        (values.sum() - values.trace()) / (count * (count - 1.0))
    };
    within(a) + within(b) - 2.0 * kernel(a, b).sum() / (count * count)
}

/// The Frechet distance of two sets, each taken for a normal distribution:
/// `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))` with unbiased covariances.
///
/// With fewer pictures than several times the features' length it comes out too large, and differently so for different
/// numbers of pictures; report [`kernel_distance`] then. Its time grows with the cube of the length: a minute or more for
/// Inception's 2048.
///
/// Sources: Dowson and Landau 1982, "The Frechet Distance between Multivariate Normal Distributions"; Heusel et al. 2017
/// (FID).
///
/// # Errors
/// [`DistributionError`] if a set has fewer than two pictures or the lengths of features differ.
pub fn frechet_distance(a: &FeatureSet, b: &FeatureSet) -> Result<f64, DistributionError> {
    check(a, b)?;
    let [(mean_a, covariance_a), (mean_b, covariance_b)] = [a, b].map(moments);
    // The roots of C1 C2 are those of C1^(1/2) C2 C1^(1/2), which is symmetric.
    let root = symmetric_root(covariance_a.clone());
    let product = &root * &covariance_b * &root;
    let symmetric = (&product + product.transpose()) * 0.5;
    let roots: f64 = symmetric.symmetric_eigenvalues().iter().map(|&value| value.max(0.0).sqrt()).sum();
    Ok((mean_a - mean_b).norm_squared() + covariance_a.trace() + covariance_b.trace() - 2.0 * roots)
}

fn check(a: &FeatureSet, b: &FeatureSet) -> Result<(), DistributionError> {
    if a.width != b.width {
        return Err(DistributionError::Width { expected: a.width, found: b.width });
    }
    match a.len().min(b.len()) {
        found if found < 2 => Err(DistributionError::TooFew { needed: 2, found }),
        _ => Ok(()),
    }
}

/// Mean and unbiased covariance.
fn moments(set: &FeatureSet) -> (DVector<f64>, DMatrix<f64>) {
    let mut columns = set.columns();
    let mean = columns.column_mean();
    for mut column in columns.column_iter_mut() {
        column -= &mean;
    }
    let covariance = &columns * columns.transpose() / (columns.ncols() as f64 - 1.0);
    (mean, covariance)
}

/// The symmetric root of a covariance; rounding's negative eigenvalues count as zero.
fn symmetric_root(matrix: DMatrix<f64>) -> DMatrix<f64> {
    let eigen = matrix.symmetric_eigen();
    let mut scaled = eigen.eigenvectors.clone();
    for (mut column, &value) in scaled.column_iter_mut().zip(eigen.eigenvalues.iter()) {
        column *= value.max(0.0).sqrt();
    }
    scaled * eigen.eigenvectors.transpose()
}
