//! Cases of 3D shapes.

mod marching_cubes;
mod mesh_metrics;

use burn::tensor::Device;

use super::{Case, CaseError, Values};

pub(super) fn run(case: &Case, _device: &Device, values: &mut Values) -> Result<(), CaseError> {
    match case.kind.as_str() {
        "marching-cubes" => marching_cubes::run(case, values),
        "mesh-metrics" => mesh_metrics::run(case, values),
        other => Err(CaseError::UnknownKind {
            system: case.system.clone(),
            kind: other.to_owned(),
            known: "marching-cubes and mesh-metrics",
        }),
    }
}
