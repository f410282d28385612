//! The picture of another set whose features are nearest: whether a generator repeats what it learnt from.

use rayon::prelude::*;
use serde::Serialize;

use super::distribution::{DistributionError, FeatureSet};

/// A picture of the other set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Nearest {
    /// Its index.
    pub index: usize,
    /// Euclidean distance of the features.
    pub distance: f64,
}

/// For each picture of `set` the nearest one of `among`; the first of equals.
///
/// # Errors
/// [`DistributionError`] if a set is empty or the lengths of features differ.
pub fn nearest(set: &FeatureSet, among: &FeatureSet) -> Result<Vec<Nearest>, DistributionError> {
    if set.width() != among.width() {
        return Err(DistributionError::Width { expected: set.width(), found: among.width() });
    }
    if set.is_empty() || among.is_empty() {
        return Err(DistributionError::TooFew { needed: 1, found: 0 });
    }
    let of_one = |features: &[f32]| {
        let others =
            among.features().enumerate().map(|(index, other)| Nearest { index, distance: squared(features, other) });
        let first = Nearest { index: 0, distance: f64::INFINITY };
        let best = others.fold(first, |best, next| if next.distance < best.distance { next } else { best });
        Nearest { distance: best.distance.sqrt(), ..best }
    };
    Ok(set.features().collect::<Vec<_>>().into_par_iter().map(of_one).collect())
}

fn squared(a: &[f32], b: &[f32]) -> f64 {
    f64::from(a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_found_with_its_distance() {
        let set = |values: &[f32]| {
            let mut set = FeatureSet::new(2);
            set.extend(values).unwrap();
            set
        };
        let found = nearest(&set(&[0.0, 0.0, 5.0, 5.0]), &set(&[4.0, 4.0, 3.0, 4.0, 5.0, 5.0])).unwrap();
        assert_eq!(found[0], Nearest { index: 1, distance: 5.0 });
        assert_eq!(found[1], Nearest { index: 2, distance: 0.0 });
        assert!(nearest(&set(&[]), &set(&[1.0, 1.0])).is_err());
        assert!(nearest(&set(&[0.0, 0.0]), &FeatureSet::new(3)).is_err());
    }
}
