//! Reading and making the tensors of the CPU backend.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape};

use crate::cpu::attention::{Place, Placed};
use crate::cpu::linear::Strided;

/// A contiguous copy of the tensor, or the tensor itself where it is contiguous already.
pub(crate) fn contiguous(tensor: FloatTensor<Flex>) -> FloatTensor<Flex> {
    if tensor.is_contiguous() && tensor.layout().start_offset() == 0 { tensor } else { tensor.to_contiguous() }
}

/// The f32 values of a contiguous tensor.
pub(crate) fn values(tensor: &FloatTensor<Flex>) -> &[f32] {
    let count = tensor.layout().shape().num_elements();
    &tensor.storage::<f32>()[..count]
}

/// A tensor of `shape` that owns `values`.
pub(crate) fn tensor<E>(values: Vec<E>, shape: Shape, dtype: DType) -> FloatTensor<Flex>
where
    E: bytemuck::Pod + Send + Sync,
{
    let layout = burn_flex::Layout::contiguous(shape);
    FloatTensor::<Flex>::new(burn::tensor::Bytes::from_elems(values), layout, dtype)
}

/// `map` on the tensor's f32 values: its own where nobody else holds them, else a copy's.
pub(crate) fn map_in_place(tensor: FloatTensor<Flex>, map: impl FnOnce(&mut [f32])) -> FloatTensor<Flex> {
    let mut tensor = contiguous(tensor);
    let shape = tensor.layout().shape().clone();
    let count = shape.num_elements();
    match tensor.try_storage_mut::<f32>() {
        Some(storage) => {
            map(&mut storage[..count]);
            tensor
        }
        None => {
            let mut copy = values(&tensor).to_vec();
            map(&mut copy);
            self::tensor(copy, shape, DType::F32)
        }
    }
}

/// `map` on the tensor's f32 values where nobody else holds them, else what `make` makes of them.
pub(crate) fn map_or_make(
    tensor: FloatTensor<Flex>,
    map: impl FnOnce(&mut [f32]),
    make: impl FnOnce(&[f32]) -> Vec<f32>,
) -> FloatTensor<Flex> {
    let mut tensor = contiguous(tensor);
    let shape = tensor.layout().shape().clone();
    if let Some(storage) = tensor.try_storage_mut::<f32>() {
        map(&mut storage[..shape.num_elements()]);
        return tensor;
    }
    self::tensor(make(values(&tensor)), shape, DType::F32)
}

/// A copy of the matrix if any of its strides runs backwards, else the matrix.
pub(crate) fn forward_strides(matrix: FloatTensor<Flex>) -> FloatTensor<Flex> {
    if matrix.layout().strides().iter().all(|&stride| stride >= 0) { matrix } else { matrix.to_contiguous() }
}

/// A matrix of [`forward_strides`] where it lies.
pub(crate) fn strided(matrix: &FloatTensor<Flex>) -> Strided<'_> {
    let layout = matrix.layout();
    let stride = |axis: usize| layout.strides()[axis].unsigned_abs();
    Strided { values: &matrix.storage::<f32>()[layout.start_offset()..], strides: [stride(0), stride(1)] }
}

/// A copy of `[batch, length, width]` if the channels of a position do not lie side by side, else the tensor.
pub(crate) fn whole_rows(tensor: FloatTensor<Flex>) -> FloatTensor<Flex> {
    let (shape, strides) = (tensor.layout().shape(), tensor.layout().strides());
    let readable = (strides[2] == 1 || shape[2] == 1) && strides.iter().all(|&stride| stride >= 0);
    if readable { tensor } else { tensor.to_contiguous() }
}

/// A tensor of [`whole_rows`] where it lies.
pub(crate) fn placed(tensor: &FloatTensor<Flex>) -> Placed<'_> {
    let layout = tensor.layout();
    let stride = |axis: usize| layout.strides()[axis].unsigned_abs();
    let place = Place { start: layout.start_offset(), item: stride(0), position: stride(1) };
    Placed { values: tensor.storage::<f32>(), place }
}
