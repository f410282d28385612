//! Resizing as two matrix products: differentiable on every device, and exact about its filter.

use burn::tensor::{Device, Tensor, TensorData};

/// How pixels between pixels are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resampling {
    /// PyTorch's `interpolate(mode="bilinear", align_corners=False)`: two neighbours a side, no antialiasing.
    Bilinear,
    /// Bicubic with a = -1/2, widened when the picture shrinks, as Pillow does it (without its rounding to bytes).
    Bicubic,
    /// PyTorch's `interpolate(mode="bicubic", align_corners=False)`: cubic convolution with a = -3/4, never widened; beyond
    /// the border stands the border's pixel.
    CubicConvolution,
    /// PyTorch's `interpolate(mode="area")`, adaptive average pooling: output `i` of `o` is the mean of inputs
    /// `floor(i n / o)..ceil((i + 1) n / o)`.
    Area,
}

/// `[batch, channels, height, width] -> [batch, channels, size[0], size[1]]`, centres aligned.
pub fn resize(x: Tensor<4>, size: [usize; 2], resampling: Resampling) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    if [height, width] == size {
        return x;
    }
    let step = |from: usize, to: usize| from as f64 / to as f64;
    resize_by(x, size, [step(height, size[0]), step(width, size[1])], resampling)
}

/// [`resize`] in which output pixel `i` stands at `(i + 1/2) * steps - 1/2` of the input, where `steps` need not be the
/// ratio of the sizes: what `interpolate` does with an explicit `scale_factor` of `1 / steps`. [`Resampling::Area`] takes no
/// notice of them.
pub fn resize_by(x: Tensor<4>, size: [usize; 2], steps: [f64; 2], resampling: Resampling) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let device = x.device().without_autodiff();
    let matrix = |from: usize, to: usize, step: f64| {
        let matrix = matrix([from, to], step, resampling, &device);
        if x.is_autodiff() { matrix.autodiff() } else { matrix }
    };
    let (across, down) = (matrix(width, size[1], steps[1]).transpose(), matrix(height, size[0], steps[0]));
    let rows = x.reshape([batch * channels * height, width]).matmul(across);
    let planes = rows.reshape([batch * channels, height, size[1]]);
    down.unsqueeze::<3>().matmul(planes).reshape([batch, channels, size[0], size[1]])
}

/// Weights `[to, from]`, each row summing to one.
fn matrix([from, to]: [usize; 2], step: f64, resampling: Resampling, device: &Device) -> Tensor<2> {
    let mut weights = Vec::with_capacity(to * from);
    for at in 0..to {
        let row = match resampling {
            Resampling::Bilinear | Resampling::Bicubic => filtered(from, at, step, resampling),
            Resampling::CubicConvolution => cubic_convolution(from, at, step),
            Resampling::Area => area([from, to], at),
        };
        weights.extend(row.into_iter().map(|weight| weight as f32));
    }
    Tensor::from_data(TensorData::new(weights, [to, from]), device)
}

/// What each input gives to output `at`, by a filter whose weights are brought to a sum of one.
fn filtered(from: usize, at: usize, step: f64, resampling: Resampling) -> Vec<f64> {
    let is_linear = resampling == Resampling::Bilinear;
    let widened = if is_linear { 1.0 } else { step.max(1.0) };
    // The place of the output among the inputs, whose centres are at 0.5, 1.5 ...
    let centre = (at as f64 + 0.5) * step;
    let centre = if is_linear { centre.clamp(0.5, from as f64 - 0.5) } else { centre };
    let weights: Vec<f64> = (0..from)
        .map(|input| {
            let distance = ((input as f64 + 0.5 - centre) / widened).abs();
            if is_linear { (1.0 - distance).max(0.0) } else { cubic(distance, -0.5) }
        })
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// Four taps around output `at`; those beyond the border fall on the border.
fn cubic_convolution(from: usize, at: usize, step: f64) -> Vec<f64> {
    let centre = (at as f64 + 0.5) * step - 0.5;
    let first = centre.floor() - 1.0;
    let mut weights = vec![0.0; from];
    for tap in 0..4 {
        let place = first + f64::from(tap);
        let inside = place.clamp(0.0, from.saturating_sub(1) as f64) as usize;
        if let Some(weight) = weights.get_mut(inside) {
            *weight += cubic((centre - place).abs(), -0.75);
        }
    }
    weights
}

/// The mean of the inputs that output `at` covers, whole ones only.
fn area([from, to]: [usize; 2], at: usize) -> Vec<f64> {
    let (start, end) = (at * from / to, ((at + 1) * from).div_ceil(to));
    let share = 1.0 / (end - start) as f64;
    (0..from).map(|input| if (start..end).contains(&input) { share } else { 0.0 }).collect()
}

/// Keys' cubic.
fn cubic(x: f64, a: f64) -> f64 {
    match x {
        _ if x < 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        _ if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[f32], to: usize, resampling: Resampling) -> Vec<f32> {
        let x = Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, 1, values.len()]), &Device::flex());
        resize(x, [1, to], resampling).into_data().iter().collect()
    }

    #[test]
    fn areas_overlap_where_sizes_do_not_divide() {
        let means = line(&[1.0, 2.0, 3.0, 4.0, 5.0], 3, Resampling::Area);
        let error = means.iter().zip([1.5, 3.0, 4.5]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(error < 1e-6, "{means:?}"); // 0..2, 1..4, 3..5
        assert_eq!(line(&[1.0, 3.0], 4, Resampling::Area), [1.0, 1.0, 3.0, 3.0]);
    }

    #[test]
    fn a_cubic_convolution_keeps_constants_and_overshoots_at_a_step() {
        for to in [1, 3, 7, 16] {
            assert!(line(&[2.0; 5], to, Resampling::CubicConvolution).iter().all(|x| (x - 2.0).abs() < 1e-6));
        }
        // a = -3/4 at a distance of 1/4 and 3/4: the taps are -0.10546875, 0.87890625, 0.26171875, -0.03515625.
        let up = line(&[0.0, 0.0, 1.0, 1.0], 8, Resampling::CubicConvolution);
        assert!((up[2] + 0.105_468_75).abs() < 1e-6 && (up[3] - 0.226_562_5).abs() < 1e-6, "{up:?}");
        // Shrinking takes four pixels around the centre, not all that the output covers.
        let down = line(&[0.0, 0.0, 0.0, 0.0, 9.0, 9.0, 9.0, 9.0, 9.0], 1, Resampling::CubicConvolution);
        assert_eq!(down, [9.0]);
    }

    #[test]
    fn explicit_steps_move_the_places_of_the_outputs() {
        let x = Tensor::from_data(TensorData::new(vec![0.0_f32, 1.0, 2.0, 3.0], [1, 1, 1, 4]), &Device::flex());
        let at = |step| -> Vec<f32> {
            resize_by(x.clone(), [1, 5], [1.0, step], Resampling::CubicConvolution).into_data().iter().collect()
        };
        assert_ne!(at(4.0 / 5.0), at(4.0 / 5.1));
    }
}
