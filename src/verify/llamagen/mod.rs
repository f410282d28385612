//! Cases of LlamaGen: its generators and its tokenizer.

mod vq;

use burn::tensor::Device;

use super::{Case, CaseError, Values, decoder};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    match case.kind.as_str() {
        "gpt-c2i" | "gpt-t2i" => decoder::run(case, device, values),
        "vq" => vq::run(case, device, values),
        other => Err(CaseError::UnknownKind {
            system: case.system.clone(),
            kind: other.to_owned(),
            known: "gpt-c2i, gpt-t2i and vq",
        }),
    }
}
