//! Writing a module's parameters under their released names.

use std::collections::HashMap;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

use super::{CheckpointError, Precision, TensorEntry, write_streaming};
use crate::params::{Form, ParamSpec, entries};

/// Writes the parameters of `module` that `specs` list (as loading or making it returned them) to a safetensors file:
/// released names and shapes, f32. Atomic, as [`write_streaming`].
///
/// # Errors
/// As [`write_streaming`]; [`CheckpointError::Malformed`] if the module lacks a listed parameter.
pub fn save_module<M: Module>(
    module: &M,
    specs: &[ParamSpec],
    path: &Path,
    metadata: HashMap<String, String>,
) -> Result<(), CheckpointError> {
    let by_name: HashMap<&str, &ParamSpec> = specs.iter().map(|spec| (spec.name.as_str(), spec)).collect();
    write_streaming(path, &entries(specs), Precision::F32, metadata, |entry: &TensorEntry| {
        let spec = by_name.get(entry.name.as_str());
        spec.and_then(|spec| parameter_values(module, spec)).ok_or_else(|| CheckpointError::Malformed {
            path: path.to_owned(),
            expected: "a module that holds every listed parameter",
            found: format!("\"{}\" is not in it or could not be read", entry.name),
        })
    })
}

/// The values of one parameter in the file's arrangement; `None` if the module has no such parameter.
pub fn parameter_values<M: Module>(module: &M, spec: &ParamSpec) -> Option<Vec<f32>> {
    let mut finder = Finder { id: spec.id, form: spec.form, values: None };
    module.visit(&mut finder);
    finder.values
}

/// Brings a tensor in memory's arrangement, such as a gradient, into the file's: `MatrixTransposed` is undone.
pub fn to_file_form<const D: usize>(tensor: Tensor<D>, form: Form) -> Tensor<D> {
    match form {
        Form::Same => tensor,
        Form::MatrixTransposed => tensor.transpose(),
    }
}

struct Finder {
    id: ParamId,
    form: Form,
    values: Option<Vec<f32>>,
}

impl ModuleVisitor for Finder {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.id == self.id {
            let tensor = to_file_form(param.val().detach(), self.form);
            self.values = tensor.into_data().try_to_vec().ok();
        }
    }
}
