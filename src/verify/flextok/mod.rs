//! Cases of FlexTok: one file for each sort of case.

mod ar;
mod fsq;
mod guidance;
mod sampling;
mod tokenizer;
mod training;

use burn::tensor::Device;

use super::{Case, CaseError, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    match case.kind.as_str() {
        "tokenizer" => tokenizer::run(case, device, values),
        "ar" => ar::run(case, device, values),
        "fsq-table" => fsq::run(case, device, values),
        other => Err(CaseError::UnknownKind {
            system: case.system.clone(),
            kind: other.to_owned(),
            known: "tokenizer, fsq-table and ar",
        }),
    }
}
