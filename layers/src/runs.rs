//! Layers that treat every position by itself, as many positions at once as a device has room for.

use burn::tensor::Tensor;
use tessera_shaders::device::rows_at_once;

/// `network` of `x [batch, length, width]`, which treats every position by itself and makes up to `widest` numbers of one on its way: in
/// runs of positions where all of them would take more than `most` bytes, which is what
/// [`largest_buffer`](tessera_shaders::device::largest_buffer) says of a device.
pub fn in_runs(x: Tensor<3>, widest: usize, most: Option<u64>, network: impl Fn(Tensor<3>) -> Tensor<3>) -> Tensor<3> {
    let [batch, length, _] = x.dims();
    let run = rows_at_once(4 * (batch * widest) as u64, length, most);
    if run >= length {
        return network(x);
    }
    let part = |start: usize| network(x.clone().narrow(1, start, run.min(length - start)));
    Tensor::cat((0..length).step_by(run).map(part).collect(), 1)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use burn::tensor::{Device, TensorData};

    use super::*;

    #[test]
    fn runs_give_what_everything_at_once_does() {
        let values: Vec<f32> = (0..2 * 7 * 3).map(|value| value as f32).collect();
        let x = Tensor::<3>::from_data(TensorData::new(values, [2, 7, 3]), &Device::flex());
        let whole: Vec<f32> = x.clone().square().into_data().iter().collect();
        // 2 x 5 numbers of 4 bytes a position; runs of half of what would fit.
        for (most, expected) in
            [(None, vec![7]), (Some(280), vec![7]), (Some(279), vec![3, 3, 1]), (Some(1), vec![1; 7])]
        {
            let seen = RefCell::new(Vec::new());
            let found = in_runs(x.clone(), 5, most, |part| {
                seen.borrow_mut().push(part.dims()[1]);
                part.square()
            });
            assert_eq!(found.into_data().iter::<f32>().collect::<Vec<f32>>(), whole, "{most:?}");
            assert_eq!(seen.into_inner(), expected, "{most:?}");
        }
    }
}
