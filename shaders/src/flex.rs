//! Reading and making the tensors of the CPU backend.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape};

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
