//! Features of surface points.

use std::f64::consts::TAU;

use burn::tensor::{Tensor, TensorData};

use super::PointsConfig;

/// Points `[batch, n, 3]` with their normals (unit length, same shape; where the configuration has them) as features
/// `[batch, n, features]`: coordinates, sines, cosines (coordinate after coordinate, each at all frequencies), normal.
///
/// Angles are brought into half a turn around 0 first: a GPU's sine is exact only there. Frequencies that are multiples of pi make
/// that step exact.
///
/// Source: Zhang et al. 2023, "3DShape2VecSet" (arXiv 2301.11445), for Fourier features of points.
pub fn point_features(points: Tensor<3>, normals: Option<Tensor<3>>, config: &PointsConfig) -> Tensor<3> {
    let [batch, count, _] = points.dims();
    let frequencies = config.num_freqs;
    let mut parts = vec![points.clone()];
    if frequencies > 0 {
        // Turns for each unit of a coordinate: 2^k pi / 2 pi, or 2^k / 2 pi.
        let base = if config.include_pi { 0.5 } else { 1.0 / TAU };
        let turns: Vec<f32> =
            (0..frequencies).scan(base, |at, _| Some(std::mem::replace(at, *at * 2.0) as f32)).collect();
        let turns = Tensor::<4>::from_data(TensorData::new(turns, [1, 1, 1, frequencies]), &points.device());
        let turns = points.reshape([batch, count, 3, 1]) * turns;
        let around = turns.clone() - turns.add_scalar(0.5).floor(); // in -0.5..=0.5
        let angles = around.mul_scalar(TAU).reshape([batch, count, 3 * frequencies]);
        parts.extend([angles.clone().sin(), angles.cos()]);
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
        let points = [[0.3_f32, -0.9, 0.77], [1.0, -1.0, 0.0]];
        for (use_normals, include_pi) in [(true, true), (false, false)] {
            let config = PointsConfig { num_points: 2, use_normals, num_freqs: 6, include_pi };
            let data = TensorData::new(points.concat(), [1, 2, 3]);
            let tensor = Tensor::<3>::from_data(data, &Device::flex());
            let found = point_features(tensor.clone(), Some(tensor.mul_scalar(2.0)), &config);
            assert_eq!(found.dims(), [1, 2, config.features()]);
            let mut expected: Vec<f64> = Vec::new();
            for point in points.map(|point| point.map(f64::from)) {
                let unit = if include_pi { std::f64::consts::PI } else { 1.0 };
                let angles: Vec<f64> =
                    point.iter().flat_map(|x| (0..6).map(move |k| x * unit * f64::from(1 << k))).collect();
                expected.extend(point);
                expected.extend(angles.iter().map(|angle| angle.sin()));
                expected.extend(angles.iter().map(|angle| angle.cos()));
                if use_normals {
                    expected.extend(point.map(|x| 2.0 * x));
                }
            }
            for (found, expected) in found.into_data().iter::<f64>().zip(expected) {
                assert!((found - expected).abs() < 2e-5, "{found} {expected}");
            }
        }
    }
}
