//! The fixed mix of patches that latent tokens may start from.

use burn::tensor::{Device, Tensor, TensorData};

/// The lowest `latents` rows of the orthonormal two-dimensional DCT-II over a `grid x grid` field, `[latents, grid *
/// grid]`: row `n` holds the `n`-th lowest frequency, by `u^2 + v^2`, ties by the row frequency `u`. Rows beyond
/// `grid * grid` are zero.
pub(super) fn matrix(latents: usize, grid: usize, device: &Device) -> Tensor<2> {
    let cosine = cosines(grid);
    let mut values = Vec::with_capacity(latents * grid * grid);
    for (u, v) in frequencies(grid).into_iter().take(latents) {
        for row in cosine.chunks_exact(grid).map(|cosine| cosine[u]) {
            values.extend(cosine.chunks_exact(grid).map(|cosine| row * cosine[v]));
        }
    }
    values.resize(latents * grid * grid, 0.0);
    Tensor::from_data(TensorData::new(values, [latents, grid * grid]), device)
}

/// All pairs of row and column frequency, low ones first.
fn frequencies(grid: usize) -> Vec<(usize, usize)> {
    let mut pairs: Vec<_> = (0..grid).flat_map(|u| (0..grid).map(move |v| (u, v))).collect();
    pairs.sort_by_key(|&(u, v)| (u * u + v * v, u));
    pairs
}

/// `[place, frequency]` of the one-dimensional transform: each frequency has unit length.
fn cosines(grid: usize) -> Vec<f32> {
    let side = grid as f64;
    let value = |place: usize, frequency: usize| {
        let scale = if frequency == 0 { 1.0 / side } else { 2.0 / side }.sqrt();
        let angle = std::f64::consts::PI * (place as f64 + 0.5) * frequency as f64 / side;
        (scale * angle.cos()) as f32
    };
    (0..grid).flat_map(|place| (0..grid).map(move |frequency| value(place, frequency))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_orthonormal_and_begin_with_the_mean() {
        let all = matrix(20, 4, &Device::flex());
        let gram: Vec<f32> = all.clone().matmul(all.clone().transpose()).into_data().iter().collect();
        for (at, value) in gram.iter().enumerate() {
            let (row, column) = (at / 20, at % 20);
            let expected = if row == column && row < 16 { 1.0 } else { 0.0 };
            assert!((value - expected).abs() < 1e-5, "{row} {column}: {value}");
        }
        let first: Vec<f32> = all.slice([0..1]).into_data().iter().collect();
        assert!(first.iter().all(|value| (value - 0.25).abs() < 1e-6));
        assert_eq!(frequencies(3)[..5], [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2)]);
    }
}
