//! Cases of NAR.

use burn::tensor::Device;

use super::{Case, CaseError, Values, decoder};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    match case.kind.as_str() {
        "c2i" | "t2i" => decoder::run(case, device, values),
        other => {
            Err(CaseError::UnknownKind { system: case.system.clone(), kind: other.to_owned(), known: "c2i and t2i" })
        }
    }
}
