//! Distances of distributions against closed forms and numpy's values.

use tessera::eval::{DistributionError, FeatureNet, FeatureSet, KernelOptions, frechet_distance, kernel_distance};

/// numpy, of the eigenvalues of C1 C2.
const FRECHET: f64 = 3.412689937828;
const FRECHET_FEW: f64 = 7.297521098185;
const KERNEL: f64 = 1.748295689223;

fn set(width: usize, values: &[f32]) -> FeatureSet {
    let mut set = FeatureSet::new(width);
    set.extend(values).unwrap();
    set
}

/// Waves whose values numpy can repeat: `sin(0.1 + step * place) * scale + shift`, in f64 and rounded to f32.
fn waves(count: usize, step: f64, scale: f64, shift: f64) -> Vec<f32> {
    (0..count).map(|at| ((0.1 + step * at as f64).sin() * scale + shift) as f32).collect()
}

#[test]
fn frechet_distance_of_diagonal_covariances_is_the_closed_form() {
    // Corners of a rectangle: means 0 and (1, 2), deviations a and b along the axes, covariances a^2 * 4 / 3.
    let corners =
        |[a, b]: [f32; 2], [x, y]: [f32; 2]| set(2, &[x + a, y + b, x + a, y - b, x - a, y + b, x - a, y - b]);
    let first = corners([1.0, 2.0], [0.0, 0.0]);
    let second = corners([3.0, 0.5], [1.0, 2.0]);
    let expected = 5.0 + (4.0 / 3.0) * ((3.0_f64 - 1.0).powi(2) + (2.0_f64 - 0.5).powi(2));
    let found = frechet_distance(&first, &second).unwrap();
    assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    assert!(frechet_distance(&first, &first).unwrap().abs() < 1e-9);
}

#[test]
fn frechet_distance_equals_that_of_numpy() {
    let a = set(5, &waves(5 * 40, 0.7, 1.0, 0.0));
    let b = set(5, &waves(5 * 33, 1.3, 1.5, 0.25));
    let found = frechet_distance(&a, &b).unwrap();
    assert!((found - FRECHET).abs() < 1e-6, "{found}");
    // Fewer pictures than the features are long: covariances without full rank.
    let (few_a, few_b) = (set(5, &waves(5 * 3, 0.7, 1.0, 0.0)), set(5, &waves(5 * 3, 1.3, 1.5, 0.25)));
    let found = frechet_distance(&few_a, &few_b).unwrap();
    assert!((found - FRECHET_FEW).abs() < 1e-5, "{found}");
}

#[test]
fn kernel_distance_of_whole_sets_equals_that_of_numpy() {
    let a = set(5, &waves(5 * 40, 0.7, 1.0, 0.0));
    let b = set(5, &waves(5 * 40, 1.3, 1.5, 0.25));
    let options = KernelOptions { subsets: 3, subset_size: 40, seed: 1 };
    let found = kernel_distance(&a, &b, &options).unwrap();
    assert!((found.mean - KERNEL).abs() < 1e-9 && found.deviation < 1e-9, "{found:?}");
    assert_eq!((found.subsets, found.subset_size), (3, 40));
}

#[test]
fn kernel_distance_is_seeded_and_unbiased() {
    let a = set(5, &waves(5 * 300, 0.7, 1.0, 0.0));
    let b = set(5, &waves(5 * 200, 0.7, 1.0, 0.0));
    let options = KernelOptions { subsets: 50, subset_size: 30, seed: 9 };
    let first = kernel_distance(&a, &b, &options).unwrap();
    assert_eq!(first, kernel_distance(&a, &b, &options).unwrap());
    assert_ne!(first, kernel_distance(&a, &b, &KernelOptions { seed: 10, ..options }).unwrap());
    // Both sets walk the same curve: the mean lies within its own error of zero.
    assert!(first.mean.abs() < 4.0 * first.deviation / 50.0_f64.sqrt() + 5e-3, "{first:?}");
    assert!(first.deviation > 0.0);
    // No more are drawn than there are.
    let all = kernel_distance(&a, &b, &KernelOptions::default()).unwrap();
    assert_eq!((all.subsets, all.subset_size), (100, 200));
}

#[test]
fn what_cannot_be_compared_is_an_error() {
    let three = set(3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let two = set(2, &[1.0, 2.0, 3.0, 4.0]);
    let one = set(3, &[1.0, 2.0, 3.0]);
    let options = KernelOptions::default();
    assert!(matches!(frechet_distance(&three, &two), Err(DistributionError::Width { expected: 3, found: 2 })));
    assert!(matches!(kernel_distance(&three, &one, &options), Err(DistributionError::TooFew { found: 1, .. })));
    let none = KernelOptions { subset_size: 1, ..options };
    assert!(matches!(kernel_distance(&three, &three, &none), Err(DistributionError::NoSubsets)));
    let mut set = FeatureSet::new(3);
    assert!(matches!(set.extend(&[1.0]), Err(DistributionError::Width { .. })));
    assert!(matches!(set.extend(&[1.0, f32::NAN, 2.0]), Err(DistributionError::NotFinite(_))));
    assert!(set.is_empty() && FeatureSet::new(0).extend(&[1.0]).is_err());
}

#[test]
fn features_of_the_built_in_network_fill_a_set_under_its_name() {
    let device = burn::tensor::Device::flex();
    let net = FeatureNet::EfficientNetLite0(Box::new(tessera::perceptual_net(&device).unwrap()));
    let mut set = net.empty_set();
    net.add(burn::tensor::Tensor::ones([2, 3, 40, 50], &device) * 0.5, &mut set).unwrap();
    assert_eq!((set.len(), set.width()), (2, 1280));
    assert_eq!((net.kernel_name(), net.frechet_name()), ("KID-EffLite0", "FD-EffLite0"));
}
