//! Gradients of a module's parameters by released name.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use tessera_layers::ParamSpec;
use tessera_layers::checkpoint::to_file_form;

use super::{Value, Values};

/// Takes the gradient of one parameter, in the file's arrangement, under `name`.
pub(super) fn take<M: Module>(module: &M, spec: &ParamSpec, gradients: &Gradients, name: &str, values: &mut Values) {
    let mut finder = Finder { spec, gradients, found: None };
    module.visit(&mut finder);
    if let Some(found) = finder.found {
        values.insert(name, Value::Floats(spec.shape.clone(), found));
    }
}

struct Finder<'a> {
    spec: &'a ParamSpec,
    gradients: &'a Gradients,
    found: Option<Vec<f32>>,
}

impl ModuleVisitor for Finder<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.id == self.spec.id {
            let gradient = param.val().grad(self.gradients);
            self.found = gradient.map(|gradient| to_file_form(gradient, self.spec.form).into_data().iter().collect());
        }
    }
}
