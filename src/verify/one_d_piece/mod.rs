//! Cases of One-D-Piece and TiTok: one file for each sort of case.

mod gan;
mod maskgit;
mod proxy;
mod quantizer;
mod tokenizer;

use burn::tensor::{Device, Tensor};

use super::inputs::{float_input, int_input};
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

/// `[batch, positions, channels]` as the reference writes it: `[batch, channels, 1, positions]`.
fn as_columns(vectors: Tensor<3>) -> Tensor<4> {
    let [batch, positions, channels] = vectors.dims();
    vectors.swap_dims(1, 2).reshape([batch, channels, 1, positions])
}
