//! [`untracked`]: parameters that take no gradient.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

/// The module with the same values, none of which takes a gradient: what it computes is on no tape.
///
/// For what is computed and then detached: on autodiff devices a tape that no backward pass reaches would never be freed (burn issue 4970).
#[must_use]
pub fn untracked<M: Module>(module: &M) -> M {
    module.clone().map(&mut Untracked)
}

struct Untracked;

impl ModuleMapper for Untracked {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value) = (param.id, param.val());
        Param::initialized(id, if value.is_autodiff() { value.detach() } else { value })
    }
}
