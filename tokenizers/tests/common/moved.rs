//! Which parameters a loss moves.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use tessera_layers::ParamSpec;

/// Each parameter's released name, and whether it has a gradient other than zero.
pub fn moved<M: Module>(module: &M, specs: &[ParamSpec], gradients: &Gradients) -> Vec<(String, bool)> {
    let mut visitor = Moved { specs, gradients, found: Vec::new() };
    module.visit(&mut visitor);
    visitor.found
}

struct Moved<'a> {
    specs: &'a [ParamSpec],
    gradients: &'a Gradients,
    found: Vec<(String, bool)>,
}

impl ModuleVisitor for Moved<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(spec) = self.specs.iter().find(|spec| spec.id == param.id) {
            let gradient = param.val().grad(self.gradients);
            let moved = gradient.is_some_and(|gradient| gradient.into_data().iter::<f32>().any(|x| x != 0.0));
            self.found.push((spec.name.clone(), moved));
        }
    }
}
