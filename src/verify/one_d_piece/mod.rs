//! Cases of One-D-Piece and TiTok: one file for each sort of case.

mod gan;
mod maskgit;
mod proxy;
mod quantizer;
mod tokenizer;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{Case, CaseError, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    match case.kind.as_str() {
        "one-d-piece" | "titok" | "checkpoint-bin" => tokenizer::run(case, device, values),
        "proxy-vqgan" => proxy::run(case, device, values),
        "stage2-gan" => gan::run(case, device, values),
        "vq-losses" => quantizer::run(case, device, values),
        "maskgit" | "maskgit-uvit" => maskgit::run(case, device, values),
        other => Err(CaseError::UnknownKind {
            system: case.system.clone(),
            kind: other.to_owned(),
            known: "one-d-piece, titok, checkpoint-bin, proxy-vqgan, stage2-gan, vq-losses, maskgit and maskgit-uvit",
        }),
    }
}

/// A float input on the device.
fn float_input<const D: usize>(case: &Case, name: &str, device: &Device) -> Result<Tensor<D>, CaseError> {
    let (shape, values) = case.floats::<D>(name)?;
    Ok(Tensor::from_data(TensorData::new(values, shape), device))
}

/// An integer input `[batch, positions]` on the device; every value must lie in `0..limit`.
fn int_input(case: &Case, name: &str, limit: usize, device: &Device) -> Result<Tensor<2, Int>, CaseError> {
    let (shape, values) = case.integers::<2>(name)?;
    let checked = values.iter().map(|&value| {
        i32::try_from(value).ok().filter(|&id| usize::try_from(id).is_ok_and(|id| id < limit)).ok_or_else(|| {
            CaseError::input(format!("input \"{name}\""), format!("ids in 0..{limit}"), value.to_string())
        })
    });
    let values = checked.collect::<Result<Vec<i32>, _>>()?;
    Ok(Tensor::from_data(TensorData::new(values, shape), device))
}

/// `[batch, positions, channels]` as the reference writes it: `[batch, channels, 1, positions]`.
fn as_columns(vectors: Tensor<3>) -> Tensor<4> {
    let [batch, positions, channels] = vectors.dims();
    vectors.swap_dims(1, 2).reshape([batch, channels, 1, positions])
}
