//! Learned positions of one grid for another.

use burn::tensor::{Tensor, TensorData};

/// Positions `[1, 1 + n * n, width]` of an `n x n` grid and its class row as `[1, 1 + grid * grid, width]`: bicubic with
/// a = -3/4, centres aligned, edges repeated, as PyTorch's `interpolate(mode="bicubic", align_corners=False)`; the class row stays.
///
/// # Panics
/// If the rows but the first are no square: a shape error, as in any tensor operation.
pub fn resize_positions(positions: Tensor<3>, grid: usize) -> Tensor<3> {
    let [_, rows, width] = positions.dims();
    let from = rows.saturating_sub(1).isqrt();
    assert!(from * from + 1 == rows, "resize_positions: {rows} rows are no square and a class row");
    let weights: Vec<f32> = (0..grid).flat_map(|at| row(from, grid, at)).collect();
    let matrix = Tensor::<2>::from_data(TensorData::new(weights, [grid, from]), &positions.device());
    let class = positions.clone().slice([0..1, 0..1]);
    let cells = positions.slice([0..1, 1..rows]).reshape([from, from * width]);
    let down = matrix.clone().matmul(cells).reshape([grid, from, width]);
    let across = matrix.unsqueeze::<3>().expand([grid, grid, from]).matmul(down);
    Tensor::cat(vec![class, across.reshape([1, grid * grid, width])], 1)
}

/// What each of `from` inputs gives to output `at` of `to`.
fn row(from: usize, to: usize, at: usize) -> Vec<f32> {
    let place = (at as f64 + 0.5) * from as f64 / to as f64 - 0.5;
    let first = place.floor();
    let mut weights = vec![0.0_f64; from];
    for step in -1..=2_i32 {
        let input = first + f64::from(step);
        // Rounded to a whole number and held within the inputs, so it is an index.
        let index = input.clamp(0.0, from.saturating_sub(1) as f64) as usize;
        if let Some(weight) = weights.get_mut(index) {
            *weight += cubic((place - input).abs());
        }
    }
    weights.into_iter().map(|weight| weight as f32).collect()
}

fn cubic(x: f64) -> f64 {
    const A: f64 = -0.75;
    if x <= 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn resized(values: Vec<f32>, from: usize, grid: usize) -> Vec<f32> {
        let data = TensorData::new(values, [1, from * from + 1, 1]);
        resize_positions(Tensor::from_data(data, &Device::flex()), grid).into_data().iter().collect()
    }

    #[test]
    fn the_class_row_stays_and_constants_are_constant() {
        let found = resized([vec![9.0], vec![2.0; 9]].concat(), 3, 5);
        assert_eq!((found.len(), found[0]), (26, 9.0));
        assert!(found[1..].iter().all(|value| (value - 2.0).abs() < 1e-6));
        assert_eq!(resized((0..10_u8).map(f32::from).collect(), 3, 3), (0..10_u8).map(f32::from).collect::<Vec<_>>());
    }

    #[test]
    fn weights_are_those_of_pytorch() {
        // Halfway between pixels: -3/32, 19/32, 19/32, -3/32, as the cubic with a = -3/4 has it.
        let halfway = row(4, 2, 0);
        // Output 0 of 2 lies at 0.5 of the inputs 0..4.
        let expected = [-0.09375 + 0.59375, 0.59375, -0.09375, 0.0];
        assert!(halfway.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{halfway:?}");
    }

    #[test]
    fn rows_and_columns_are_told_apart() {
        // Values that grow along columns only.
        let cells: Vec<f32> = (0..9_u8).map(|at| f32::from(at % 3)).collect();
        let found = resized([vec![0.0], cells].concat(), 3, 2);
        assert_eq!(found[1], found[3]);
        assert!(found[2] > found[1]);
    }
}
