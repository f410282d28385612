//! Rotary positions of whole sequences.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use tessera_shaders::rotary;

/// Cosines and sines by position: what [`tessera_shaders::rotary`] turns queries and keys by. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Rotary {
    cos: Arc<[f32]>,
    sin: Arc<[f32]>,
    half: usize,
}

/// The angles of a run of positions, on a device.
#[derive(Debug, Clone)]
pub struct Turns {
    /// Cosines `[positions, half]`.
    pub cos: Tensor<2>,
    /// Sines `[positions, half]`.
    pub sin: Tensor<2>,
}

impl Turns {
    /// Turns `x [batch, positions, heads * 2 * half]`.
    pub fn turn(&self, x: Tensor<3>) -> Tensor<3> {
        rotary(x, self.cos.clone(), self.sin.clone())
    }
}

impl Rotary {
    /// Positions on a line: position `p` turns pair `i` of the `half` pairs of a head by `p * base^(-i / half)`.
    pub fn line(positions: usize, half: usize, base: f64) -> Self {
        let angles = (0..positions).flat_map(|at| (0..half).map(move |pair| at as f64 * speed(pair, half, base)));
        let (cos, sin) = angles.map(|angle| (angle.cos() as f32, angle.sin() as f32)).unzip::<_, _, Vec<_>, Vec<_>>();
        Self { cos: cos.into(), sin: sin.into(), half }
    }

    /// Positions on a grid, `(row, column)` each, behind `first` positions whose cosines and sines are all zero, so that they
    /// are neither looked for nor found: LlamaGen's condition positions (arXiv 2406.06525, released code). The first half of a
    /// head's pairs turns by the row, the second by the column.
    pub fn grid(first: usize, places: &[[f64; 2]], half: usize, base: f64) -> Self {
        let quarter = half / 2;
        let (mut cos, mut sin) = (vec![0.0; first * half], vec![0.0; first * half]);
        for place in places {
            let angles = place.iter().flat_map(|&at| (0..quarter).map(move |pair| at * speed(pair, quarter, base)));
            for angle in angles {
                cos.push(angle.cos() as f32);
                sin.push(angle.sin() as f32);
            }
        }
        Self { cos: cos.into(), sin: sin.into(), half }
    }

    /// Pairs of channels of a head.
    pub fn half(&self) -> usize {
        self.half
    }

    /// Positions that have angles.
    pub fn positions(&self) -> usize {
        self.cos.len() / self.half.max(1)
    }

    /// The angles of some positions; zeros beyond the last.
    pub fn at(&self, positions: Range<usize>, device: &Device) -> Turns {
        let shape = [positions.len(), self.half];
        let part = |table: &[f32]| {
            let all = positions.start * self.half..positions.end * self.half;
            let mut values =
                table.get(all.start.min(table.len())..all.end.min(table.len())).unwrap_or_default().to_vec();
            values.resize(shape[0] * shape[1], 0.0);
            Tensor::from_data(TensorData::new(values, shape), device)
        };
        Turns { cos: part(&self.cos), sin: part(&self.sin) }
    }
}

/// How fast pair `pair` of `pairs` turns.
fn speed(pair: usize, pairs: usize, base: f64) -> f64 {
    base.powf(-(pair as f64) / pairs as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_starts_at_no_turn_and_slows_down() {
        let line = Rotary::line(3, 2, 100.0);
        assert_eq!((line.positions(), &line.cos[..2], &line.sin[..2]), (3, [1.0; 2].as_slice(), [0.0; 2].as_slice()));
        let expected = [2.0_f64.sin() as f32, 0.2_f64.sin() as f32];
        assert_eq!(line.sin[4..], expected);
    }

    #[test]
    fn a_grid_has_zeros_in_front_and_rows_before_columns() {
        let grid = Rotary::grid(1, &[[0.0, 0.0], [2.0, 1.0]], 4, 100.0);
        assert_eq!((grid.positions(), &grid.cos[..4]), (3, [0.0; 4].as_slice()));
        let expected = [2.0_f64, 0.2, 1.0, 0.1].map(|angle| angle.sin() as f32);
        assert_eq!(grid.sin[8..], expected);
        let device = Device::flex();
        let beyond: Vec<f32> = grid.at(2..4, &device).sin.into_data().iter().collect();
        assert_eq!(beyond, [expected.as_slice(), &[0.0; 4]].concat());
    }
}
