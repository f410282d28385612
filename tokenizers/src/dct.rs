//! The two-dimensional cosine transform: the fixed mix of patches that latent tokens may start from, and the transform of
//! small patches of pixels.

use burn::tensor::{Device, Tensor, TensorData};

/// The lowest `count` rows of the orthonormal two-dimensional DCT-II over a field of `grid` rows and columns, `[count, rows *
/// columns]`: row `n` holds the `n`-th lowest frequency, by `u^2 + v^2` in waves over the field, ties by the row frequency
/// `u`. Rows beyond the size of the field are zero.
pub(crate) fn matrix(count: usize, grid: [usize; 2], device: &Device) -> Tensor<2> {
    let [rows, columns] = grid;
    Tensor::from_data(TensorData::new(values(count, grid), [count, rows * columns]), device)
}

/// The values of [`matrix`].
pub(crate) fn values(count: usize, [rows, columns]: [usize; 2]) -> Vec<f32> {
    let mut values = Vec::with_capacity(count * rows * columns);
    for (u, v) in frequencies([rows, columns]).into_iter().take(count) {
        let (down, across) = (cosines(rows, u), cosines(columns, v));
        values.extend(down.iter().flat_map(|down| across.iter().map(move |across| (down * across) as f32)));
    }
    values.resize(count * rows * columns, 0.0);
    values
}

/// All pairs of row and column frequency, low ones first.
fn frequencies([rows, columns]: [usize; 2]) -> Vec<(usize, usize)> {
    let mut pairs: Vec<_> = (0..rows).flat_map(|u| (0..columns).map(move |v| (u, v))).collect();
    // In units that make the two axes comparable where the field is no square.
    pairs.sort_by_key(|&(u, v)| ((u * columns).pow(2) + (v * rows).pow(2), u));
    pairs
}

/// One frequency of the one-dimensional transform over `side` places, of unit length.
fn cosines(side: usize, frequency: usize) -> Vec<f64> {
    let scale = (if frequency == 0 { 1.0 } else { 2.0 } / side as f64).sqrt();
    let step = std::f64::consts::PI * frequency as f64 / side as f64;
    (0..side).map(|place| scale * (step * (place as f64 + 0.5)).cos()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_orthonormal_and_begin_with_the_mean() {
        let all = matrix(20, [4, 4], &Device::flex());
        let gram: Vec<f32> = all.clone().matmul(all.clone().transpose()).into_data().iter().collect();
        for (at, value) in gram.iter().enumerate() {
            let (row, column) = (at / 20, at % 20);
            let expected = if row == column && row < 16 { 1.0 } else { 0.0 };
            assert!((value - expected).abs() < 1e-5, "{row} {column}: {value}");
        }
        let first: Vec<f32> = all.slice([0..1]).into_data().iter().collect();
        assert!(first.iter().all(|value| (value - 0.25).abs() < 1e-6));
        assert_eq!(frequencies([3, 3])[..5], [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2)]);
        assert_eq!(frequencies([2, 6])[..5], [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]);
    }
}
