//! Averaged weights.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use tessera_layers::ParamSpec;
use tessera_layers::checkpoint::{CheckpointError, NamedTensor, Weights};

use super::parameters::{Named, Parameters, file_tensors, read_named};
use super::schedule::ema_decay;

/// An exponential moving average of a network's parameters.
pub struct Ema {
    decay: f64,
    updates: u64,
    values: Named,
}

impl Ema {
    /// An average that starts at the first update. With a decay of 0 it is always the last weights.
    pub fn new(decay: f64) -> Self {
        Self { decay, updates: 0, values: Named::new() }
    }

    /// Takes the weights after a step in. Those that `is_trained` denies are kept as they are: averaging would round them.
    pub fn update<M: Module>(&mut self, module: &M, parameters: &Parameters, is_trained: impl Fn(&str) -> bool) {
        self.updates += 1;
        let decay = ema_decay(self.decay, self.updates);
        for (name, value) in parameters.values(module) {
            let mean = match self.values.remove(&name) {
                Some(mean) if decay > 0.0 && is_trained(&name) => {
                    mean.mul_scalar(decay) + value.mul_scalar(1.0 - decay)
                }
                _ => value,
            };
            self.values.insert(name, mean);
        }
    }

    /// The network with averaged weights, on the device without autodiff.
    pub fn plain<M: Module>(&self, module: &M, parameters: &Parameters) -> M {
        parameters.map_plain(module.clone(), |spec, value| Some(self.values.get(&spec.name).cloned().unwrap_or(value)))
    }

    /// Takes rows of the matrix `name` as they stand in the module: codes that were moved elsewhere have no past there.
    pub fn adopt_rows<M: Module>(&mut self, module: &M, parameters: &Parameters, name: &str, rows: &[usize]) {
        let (Some(mean), Some(current)) = (self.values.get(name), parameters.values(module).remove(name)) else {
            return;
        };
        let (Some(width), device) = (parameters.row_length(name), mean.device()) else { return };
        let mut values: Vec<f32> = mean.clone().into_data().iter().collect();
        let current: Vec<f32> = current.into_data().iter().collect();
        for row in rows {
            let range = row * width..(row + 1) * width;
            if let (Some(to), Some(from)) = (values.get_mut(range.clone()), current.get(range)) {
                to.copy_from_slice(from);
            }
        }
        let count = values.len();
        self.values.insert(name.to_owned(), Tensor::from_data(TensorData::new(values, [count]), &device));
    }

    /// The average as a checkpoint of the released layout.
    pub fn tensors(&self, specs: &[ParamSpec]) -> Vec<NamedTensor> {
        file_tensors(&self.values, specs)
    }

    /// Takes the average of `updates` updates back.
    ///
    /// # Errors
    /// [`CheckpointError`] if a tensor is missing or unreadable.
    pub fn restore(
        &mut self,
        weights: &Weights,
        specs: &[ParamSpec],
        updates: u64,
        device: &Device,
    ) -> Result<(), CheckpointError> {
        self.values = read_named(weights, specs, |_| true, device)?;
        self.updates = updates;
        Ok(())
    }
}
