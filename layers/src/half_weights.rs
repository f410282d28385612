//! Matrices in half precision: half the memory, and nearly half the time where reading them is what takes it.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor};

/// The module with the weights of its [`Linear`](crate::Linear) layers rounded to f16. Everything else stays f32, sums too. For
/// inference on a CPU: elsewhere, and in training, the weights would be widened in every pass.
///
/// Weights beyond the range of f16 (65,504) become infinite; no released model has such.
pub fn half_weights<M: Module>(module: M) -> M {
    module.map(&mut Half(Vec::new()))
}

/// The modules that the mapper is in, outermost first.
struct Half(Vec<bool>);

impl ModuleMapper for Half {
    fn enter_module(&mut self, _name: &str, container_type: &str) {
        self.0.push(container_type == "Struct:Linear");
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.0.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        // A parameter is entered as a module of its own, inside the layer's.
        let inside = self.0.iter().rev().take(2).any(|&is_linear| is_linear);
        match inside && D == 2 {
            true => {
                let id = param.id;
                // Row by row as the file has it, so that the cast view stays a transposed one.
                let value = param.val().swap_dims(0, 1).cast(DType::F16).swap_dims(0, 1);
                Param::initialized(id, value)
            }
            false => param,
        }
    }
}
