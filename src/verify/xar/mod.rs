//! Cases of xAR: entities, the generator, and its autoencoder.

mod entities;
mod generator;
mod kl_vae;

use burn::tensor::Device;

use super::{Case, CaseError, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    match case.kind.as_str() {
        "entities" => entities::run(case, device, values),
        "xar" => generator::run(case, device, values),
        "kl-vae" => kl_vae::run(case, device, values),
        other => Err(CaseError::UnknownKind {
            system: case.system.clone(),
            kind: other.to_owned(),
            known: "entities, xar and kl-vae",
        }),
    }
}
