//! Features of surface points.

use std::f64::consts::TAU;

use burn::tensor::{Tensor, TensorData};

use super::PointsConfig;

/// A turn in three parts: the first two have so few bits that their products with some thousands of turns are exact.
const TURN: [f64; 3] = [6.281_25, 4059.0 / 2_097_152.0, TAU - 6.281_25 - 4059.0 / 2_097_152.0];

/// Points `[batch, n, 3]` with their normals (unit length, same shape; where the configuration has them) as features
/// `[batch, n, features]`: coordinates, sines, cosines (coordinate after coordinate, each at all frequencies), normal.
///
/// Angles are rounded to f32, as PyTorch has them, and then brought into half a turn around 0 without another rounding: a GPU's
/// sine is exact only there.
///
/// Source: Zhang et al. 2023, "3DShape2VecSet" (arXiv 2301.11445), for Fourier features of points.
pub fn point_features(points: Tensor<3>, normals: Option<Tensor<3>>, config: &PointsConfig) -> Tensor<3> {
    let [batch, count, _] = points.dims();
    let frequencies = config.num_freqs;
    let mut parts = vec![points.clone()];
    if frequencies > 0 {
        let base = if config.include_pi { std::f32::consts::PI } else { 1.0 };
        let factors: Vec<f32> = (0..frequencies).scan(base, |at, _| Some(std::mem::replace(at, *at * 2.0))).collect();
        let factors = Tensor::<4>::from_data(TensorData::new(factors, [1, 1, 1, frequencies]), &points.device());
        let angles = points.reshape([batch, count, 3, 1]) * factors;
        let turns = angles.clone().mul_scalar(1.0 / TAU).add_scalar(0.5).floor();
        let around = TURN.into_iter().fold(angles, |angles, part| angles - turns.clone().mul_scalar(part));
        let around = around.reshape([batch, count, 3 * frequencies]); // in -pi..=pi
        parts.extend([around.clone().sin(), around.cos()]);
    }
    parts.extend(normals.filter(|_| config.use_normals));
    Tensor::cat(parts, 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn features_are_those_of_the_definition() {
        let points = [[0.3_f32, -0.9, 0.77], [1.0, -1.0, 0.0], [0.123_456, 0.999_9, -0.543_21]];
        for (use_normals, include_pi, num_freqs) in [(true, true, 12), (false, false, 6), (true, false, 14)] {
            let config = PointsConfig { num_points: 3, use_normals, num_freqs, include_pi };
            let data = TensorData::new(points.concat(), [1, 3, 3]);
            let tensor = Tensor::<3>::from_data(data, &Device::flex());
            let found = point_features(tensor.clone(), Some(tensor.mul_scalar(2.0)), &config);
            assert_eq!(found.dims(), [1, 3, config.features()]);
            let mut expected: Vec<f64> = Vec::new();
            for point in points {
                let unit = if include_pi { std::f32::consts::PI } else { 1.0 };
                // Rounded once, then exact.
                let angles: Vec<f64> = point
                    .iter()
                    .flat_map(|x| (0..num_freqs).map(move |k| f64::from(x * (unit * (1 << k) as f32))))
                    .collect();
                expected.extend(point.map(f64::from));
                expected.extend(angles.iter().map(|angle| angle.sin()));
                expected.extend(angles.iter().map(|angle| angle.cos()));
                if use_normals {
                    expected.extend(point.map(|x| 2.0 * f64::from(x)));
                }
            }
            for (found, expected) in found.into_data().iter::<f64>().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            }
        }
    }
}
