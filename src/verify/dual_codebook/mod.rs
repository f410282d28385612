//! Cases of tokenizers with two codebooks, TokenFlow and DualToken, and of TokenFlow's generator.

mod bytes;
mod dualtoken;
mod t2i;
mod tokenflow;

use burn::tensor::Device;

use super::{Case, CaseError, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    match case.kind.as_str() {
        "tokenflow" => tokenflow::run(case, device, values),
        "tokenflow-t2i" => t2i::run(case, device, values),
        "dualtoken" => dualtoken::run(case, device, values),
        other => Err(CaseError::UnknownKind {
            system: case.system.clone(),
            kind: other.to_owned(),
            known: "tokenflow, tokenflow-t2i and dualtoken",
        }),
    }
}
