//! Token ids between the host and a device.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::TokenizerError;

/// Reads ids back: `[batch, positions]` row by row.
pub(crate) fn read_ids(ids: Tensor<2, Int>) -> Result<Vec<u32>, TokenizerError> {
    ids.try_into_data()
        .map_err(|error| TokenizerError::of_device(&error))?
        .iter::<i64>()
        .map(|id| u32::try_from(id).map_err(|_| TokenizerError::Device(format!("the device returned token id {id}"))))
        .collect()
}

/// Ids `[batch, positions]` on a device.
pub(crate) fn upload_ids(ids: &[u32], shape: [usize; 2], device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i32> = ids.iter().map(|&id| i32::try_from(id).unwrap_or(i32::MAX)).collect();
    Tensor::from_data(TensorData::new(ids, shape), device)
}

/// A mask `[batch, positions]` as factors `[batch, positions, 1]`: 1 where true, else 0.
pub(crate) fn upload_mask(mask: &[bool], [batch, positions]: [usize; 2], device: &Device) -> Tensor<3> {
    let factors: Vec<f32> = mask.iter().map(|&kept| f32::from(u8::from(kept))).collect();
    Tensor::from_data(TensorData::new(factors, [batch, positions, 1]), device)
}
