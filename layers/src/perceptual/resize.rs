//! Resizing as two matrix products: differentiable on every device, and exact about its filter.

use burn::tensor::{Device, Tensor, TensorData};

use super::conv::beside;

/// How pixels between pixels are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resampling {
    /// PyTorch's `interpolate(mode="bilinear", align_corners=False)`: two neighbours a side, no antialiasing.
    Bilinear,
    /// Bicubic with a = -1/2, widened when the picture shrinks, as Pillow does it (without its rounding to bytes).
    Bicubic,
}

/// `[batch, channels, height, width] -> [batch, channels, size[0], size[1]]`, centres aligned.
pub fn resize(x: Tensor<4>, size: [usize; 2], resampling: Resampling) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    if [height, width] == size {
        return x;
    }
    let matrix = |from: usize, to: usize, turned: bool| {
        let matrix = matrix(from, to, resampling, &x.device().without_autodiff());
        let matrix = beside(&matrix, &x);
        if turned { matrix.transpose() } else { matrix }
    };
    let (across, down) = (matrix(width, size[1], true), matrix(height, size[0], false));
    let rows = x.reshape([batch * channels * height, width]).matmul(across);
    let planes = rows.reshape([batch * channels, height, size[1]]);
    down.unsqueeze::<3>().matmul(planes).reshape([batch, channels, size[0], size[1]])
}

/// Weights `[to, from]`, each row summing to one.
fn matrix(from: usize, to: usize, resampling: Resampling, device: &Device) -> Tensor<2> {
    let mut weights = Vec::with_capacity(to * from);
    for at in 0..to {
        weights.extend(row(from, to, at, resampling).into_iter().map(|weight| weight as f32));
    }
    Tensor::from_data(TensorData::new(weights, [to, from]), device)
}

/// What each input gives to output `at`.
fn row(from: usize, to: usize, at: usize, resampling: Resampling) -> Vec<f64> {
    let scale = from as f64 / to as f64;
    let widened = match resampling {
        Resampling::Bilinear => 1.0,
        Resampling::Bicubic => scale.max(1.0),
    };
    // The place of the output among the inputs, whose centres are at 0.5, 1.5 ...
    let centre = match resampling {
        Resampling::Bilinear => ((at as f64 + 0.5) * scale).clamp(0.5, from as f64 - 0.5),
        Resampling::Bicubic => (at as f64 + 0.5) * scale,
    };
    let weights: Vec<f64> = (0..from)
        .map(|input| {
            let distance = ((input as f64 + 0.5 - centre) / widened).abs();
            match resampling {
                Resampling::Bilinear => (1.0 - distance).max(0.0),
                Resampling::Bicubic => cubic(distance),
            }
        })
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// Keys' cubic with a = -1/2.
fn cubic(x: f64) -> f64 {
    match x {
        _ if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        _ if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        _ => 0.0,
    }
}
