//! Inputs of a case as tensors.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{Case, CaseError};

/// A float input on the device.
pub(super) fn float_input<const D: usize>(case: &Case, name: &str, device: &Device) -> Result<Tensor<D>, CaseError> {
    let (shape, values) = case.floats::<D>(name)?;
    Ok(Tensor::from_data(TensorData::new(values, shape), device))
}

/// An integer input `[batch, positions]` on the device; every value must lie in `0..limit`.
pub(super) fn int_input(case: &Case, name: &str, limit: usize, device: &Device) -> Result<Tensor<2, Int>, CaseError> {
    let (shape, values) = case.integers::<2>(name)?;
    let checked = values.iter().map(|&value| {
        i32::try_from(value).ok().filter(|&id| usize::try_from(id).is_ok_and(|id| id < limit)).ok_or_else(|| {
            CaseError::input(format!("input \"{name}\""), format!("ids in 0..{limit}"), value.to_string())
        })
    });
    let values = checked.collect::<Result<Vec<i32>, _>>()?;
    Ok(Tensor::from_data(TensorData::new(values, shape), device))
}
