//! Parameters of a network by released name: flat, and in the arrangement of the checkpoint.

use std::collections::{BTreeMap, HashMap};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use tessera_layers::ParamSpec;
use tessera_layers::checkpoint::{CheckpointError, NamedTensor, TensorEntry, Weights, compare, to_file_form};
use tessera_layers::params::entries;

/// Flat tensors by released name.
pub type Named = BTreeMap<String, Tensor<1>>;

/// Which parameter of the network stands for which tensor of the checkpoint.
pub struct Parameters {
    specs: HashMap<ParamId, ParamSpec>,
}

impl Parameters {
    /// The parameters that `specs` list.
    pub fn new(specs: &[ParamSpec]) -> Self {
        Self { specs: specs.iter().map(|spec| (spec.id, spec.clone())).collect() }
    }

    /// All values, without a gradient.
    pub fn values<M: Module>(&self, module: &M) -> Named {
        let mut visitor = Visitor { specs: &self.specs, found: Named::new(), gradients: None };
        module.visit(&mut visitor);
        visitor.found
    }

    /// All gradients that there are.
    pub fn gradients<M: Module>(&self, module: &M, gradients: &mut Gradients) -> Named {
        let mut visitor = Visitor { specs: &self.specs, found: Named::new(), gradients: Some(gradients) };
        module.visit(&mut visitor);
        visitor.found
    }

    /// The module with the values that `change` gives for the values there are; `None` leaves a parameter alone.
    pub fn map<M: Module>(&self, module: M, change: impl FnMut(&ParamSpec, Tensor<1>) -> Option<Tensor<1>>) -> M {
        module.map(&mut Mapper { specs: &self.specs, change, is_plain: false })
    }

    /// As [`Parameters::map`], onto the device without autodiff.
    pub fn map_plain<M: Module>(&self, module: M, change: impl FnMut(&ParamSpec, Tensor<1>) -> Option<Tensor<1>>) -> M {
        module.map(&mut Mapper { specs: &self.specs, change, is_plain: true })
    }

    /// Values in one row of a parameter.
    pub fn row_length(&self, name: &str) -> Option<usize> {
        let spec = self.specs.values().find(|spec| spec.name == name)?;
        Some(spec.shape.iter().skip(1).product())
    }

    /// All values as a checkpoint of the released layout.
    pub fn tensors<M: Module>(&self, module: &M, specs: &[ParamSpec]) -> Vec<NamedTensor> {
        file_tensors(&self.values(module), specs)
    }

    /// The module with the values of a checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError`] if a tensor is missing, misshapen or unreadable.
    pub fn load<M: Module>(&self, module: M, weights: &Weights) -> Result<M, CheckpointError> {
        let specs: Vec<ParamSpec> = self.specs.values().cloned().collect();
        let mut values = read_named(weights, &specs, |_| true, &Device::flex())?;
        Ok(self.map(module, |spec, old| values.remove(&spec.name).map(|new| new.to_device(&old.device()))))
    }
}

/// Flat values as tensors of a checkpoint, in the order of `specs`.
pub fn file_tensors(values: &Named, specs: &[ParamSpec]) -> Vec<NamedTensor> {
    let tensor = |spec: &ParamSpec| {
        let values = values.get(&spec.name)?.clone().into_data().iter().collect();
        Some(NamedTensor { name: spec.name.clone(), shape: spec.shape.clone(), values })
    };
    specs.iter().filter_map(tensor).collect()
}

/// The tensors of `specs`, no more and no fewer, out of those of a checkpoint whose names `counts`.
///
/// # Errors
/// [`CheckpointError`] if a tensor is missing, surplus, misshapen or unreadable.
pub fn read_named(
    weights: &Weights,
    specs: &[ParamSpec],
    counts: impl Fn(&str) -> bool,
    device: &Device,
) -> Result<Named, CheckpointError> {
    let found: Vec<TensorEntry> = weights.entries().into_iter().filter(|entry| counts(&entry.name)).collect();
    compare(weights.path(), &entries(specs), &found, None)?;
    let mut named = Named::new();
    for spec in specs {
        let values = weights.read_f32(&spec.name)?;
        let count = values.len();
        named.insert(spec.name.clone(), Tensor::from_data(TensorData::new(values, [count]), device));
    }
    Ok(named)
}

struct Visitor<'a> {
    specs: &'a HashMap<ParamId, ParamSpec>,
    found: Named,
    gradients: Option<&'a mut Gradients>,
}

impl ModuleVisitor for Visitor<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(spec) = self.specs.get(&param.id) else { return };
        let tensor = match &mut self.gradients {
            Some(gradients) => param.val().grad_remove(gradients),
            None => Some(without_gradient(param.val())),
        };
        if let Some(tensor) = tensor {
            self.found.insert(spec.name.clone(), flat(tensor, spec));
        }
    }
}

struct Mapper<'a, F> {
    specs: &'a HashMap<ParamId, ParamSpec>,
    change: F,
    is_plain: bool,
}

impl<F: FnMut(&ParamSpec, Tensor<1>) -> Option<Tensor<1>>> ModuleMapper for Mapper<'_, F> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(spec) = self.specs.get(&param.id) else { return param };
        let tensor = param.val();
        let (device, is_trained) = (tensor.device(), tensor.is_require_grad());
        let inner = without_gradient(tensor);
        let filed = to_file_form(inner.clone(), spec.form);
        let shape = filed.shape();
        let Some(changed) = (self.change)(spec, filed.reshape([-1])) else { return param };
        // The transposition that made the file's arrangement makes memory's again.
        let tensor = to_file_form(changed.reshape::<D, _>(shape), spec.form);
        if self.is_plain {
            return Param::initialized(param.id, tensor);
        }
        let tensor = if device.is_autodiff() { Tensor::from_inner(tensor) } else { tensor };
        Param::initialized(param.id, if is_trained { tensor.require_grad() } else { tensor })
    }
}

fn flat<const D: usize>(tensor: Tensor<D>, spec: &ParamSpec) -> Tensor<1> {
    to_file_form(tensor, spec.form).reshape([-1])
}

fn without_gradient<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.device().is_autodiff() { tensor.inner() } else { tensor }
}
