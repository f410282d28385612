//! Cases of VAT: the tokenizer, its generator, the parts of both, and 3D shapes.

mod generator;
mod marching_cubes;
mod mesh_metrics;
mod quantizer;
mod tokenizer;
mod triplane;

use burn::tensor::Device;

use super::{Case, CaseError, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    match case.kind.as_str() {
        "vat" => tokenizer::run(case, device, values),
        "vat-ar" => generator::run(case, device, values),
        "residual-tokens1d" => quantizer::run_line(case, device, values),
        "residual-grid2d" => quantizer::run_grid(case, device, values),
        "triplane-occupancy" => triplane::run(case, device, values),
        "marching-cubes" => marching_cubes::run(case, values),
        "mesh-metrics" => mesh_metrics::run(case, values),
        other => Err(CaseError::UnknownKind {
            system: case.system.clone(),
            kind: other.to_owned(),
            known: "vat, vat-ar, residual-tokens1d, residual-grid2d, triplane-occupancy, marching-cubes and mesh-metrics",
        }),
    }
}

/// An input whose shape must be this.
fn expect<const D: usize>(name: &str, found: [usize; D], expected: [usize; D]) -> Result<(), CaseError> {
    match found == expected {
        true => Ok(()),
        false => Err(CaseError::input(format!("input \"{name}\""), format!("{expected:?}"), format!("{found:?}"))),
    }
}
