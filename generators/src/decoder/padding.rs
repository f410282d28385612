//! Condition positions that hold nothing.

use burn::tensor::{Device, Tensor, TensorData};

/// Which condition positions of each row are padding: nobody sees them, and they see themselves alone.
#[derive(Debug, Clone)]
pub struct Padding {
    /// 1 where a position is padding, `[rows, condition positions]`.
    padded: Tensor<2>,
}

/// The logarithm of a weight that no sum notices, and that no sum of scores turns into infinity.
const NEVER: f32 = -1e9;

impl Padding {
    /// From marks `[rows, positions]`, true where a position holds something; `None` where all do.
    pub fn new(kept: &[bool], rows: usize, device: &Device) -> Option<Self> {
        if rows == 0 || kept.iter().all(|&kept| kept) {
            return None;
        }
        let padded: Vec<f32> = kept.iter().map(|&kept| if kept { 0.0 } else { 1.0 }).collect();
        let shape = [rows, kept.len() / rows];
        Some(Self { padded: Tensor::from_data(TensorData::new(padded, shape), device) })
    }

    /// What is added to scores, `[rows, keys]`.
    pub fn log_weights(&self, keys: usize) -> Tensor<2> {
        let [rows, first] = self.padded.dims();
        let weights = self.padded.clone().mul_scalar(NEVER);
        match keys.checked_sub(first) {
            Some(0) => weights,
            Some(more) => Tensor::cat(vec![weights, Tensor::zeros([rows, more], &self.padded.device())], 1),
            None => weights.narrow(1, 0, keys),
        }
    }

    /// Attention's result `y [rows, count, width]` with the positions' own values in padded ones, for positions that follow
    /// `before` others.
    pub fn see_themselves(&self, y: Tensor<3>, own: Tensor<3>, before: usize) -> Tensor<3> {
        let ([rows, count, width], [_, first]) = (y.dims(), self.padded.dims());
        if before >= first {
            return y;
        }
        let here = count.min(first - before);
        let padded = self.padded.clone().narrow(1, before, here).reshape([rows, here, 1]);
        let front = y.clone().narrow(1, 0, here);
        let front = front.clone() + (own.narrow(1, 0, here) - front) * padded;
        match count - here {
            0 => front,
            rest => Tensor::cat(vec![front, y.narrow(1, here, rest)], 1).reshape([rows, count, width]),
        }
    }
}
