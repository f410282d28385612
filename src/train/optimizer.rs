//! AdamW or Muon over parameters by name, with one clip over all of them.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::optim::{AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, Optimizer as _};
use burn::tensor::{Device, Tensor, TensorData};
use tessera_layers::checkpoint::{CheckpointError, NamedTensor, Weights};

use super::muon::{NamedMuon, is_hidden_matrix};
use super::parameters::{Named, Parameters};
use super::{MatrixOptimizer, OptimizerConfig};

/// AdamW (Loshchilov and Hutter 2019) with decay on matrices only, and Muon for the matrices between layers where it is asked for; their
/// state is kept under released names, so that a checkpoint of it can be read by whoever reads the weights.
pub struct NamedOptimizer {
    decayed: AdamW,
    plain: AdamW,
    muon: Option<NamedMuon>,
    clip_norm: f64,
    state: BTreeMap<String, AdamWState<1>>,
}

impl NamedOptimizer {
    /// An optimiser that has seen nothing yet.
    pub fn new(config: &OptimizerConfig) -> Self {
        let adam = |decay: f64| {
            AdamWConfig::new()
                .with_beta_1(config.beta_1 as f32)
                .with_beta_2(config.beta_2 as f32)
                .with_epsilon(config.epsilon as f32)
                .with_weight_decay(decay as f32)
                .build()
        };
        Self {
            decayed: adam(config.weight_decay),
            plain: adam(0.0),
            muon: (config.matrices == MatrixOptimizer::Muon)
                .then(|| NamedMuon::new(config.weight_decay, config.matrix_rate)),
            clip_norm: config.clip_norm,
            state: BTreeMap::new(),
        }
    }

    /// One step along `gradients`; parameters without one stay. Returns the module and the norm of the whole gradient
    /// before clipping.
    pub fn step<M: Module>(&mut self, rate: f64, module: M, parameters: &Parameters, gradients: Named) -> (M, f64) {
        let norm = norm(&gradients);
        let scale = if self.clip_norm > 0.0 && norm > self.clip_norm { self.clip_norm / norm } else { 1.0 };
        let module = parameters.map(module, |spec, values| {
            let gradient = gradients.get(&spec.name)?.clone();
            let gradient = if scale == 1.0 { gradient } else { gradient.mul_scalar(scale) };
            if let Some(muon) = self.muon.as_mut().filter(|_| is_hidden_matrix(&spec.name, &spec.shape)) {
                return Some(muon.step(rate, spec, values, gradient));
            }
            let adam = if is_decayed(&spec.name, &spec.shape) { &self.decayed } else { &self.plain };
            let (values, state) = adam.step(rate, values, gradient, self.state.remove(&spec.name));
            if let Some(state) = state {
                self.state.insert(spec.name.clone(), state);
            }
            Some(values)
        });
        (module, norm)
    }

    /// The state as tensors: `NAME.exp_avg`, `NAME.exp_avg_sq` and `NAME.step`, as PyTorch calls them, and Muon's.
    pub fn tensors(&self) -> Vec<NamedTensor> {
        let read = |tensor: &Tensor<1>| tensor.clone().into_data().iter::<f32>().collect::<Vec<_>>();
        let mut tensors = Vec::with_capacity(3 * self.state.len());
        for (name, AdamWState { momentum }) in &self.state {
            let mut push = |suffix: &str, values: Vec<f32>| {
                tensors.push(NamedTensor { name: format!("{name}.{suffix}"), shape: vec![values.len()], values });
            };
            push("exp_avg", read(&momentum.moment_1));
            push("exp_avg_sq", read(&momentum.moment_2));
            // Exact up to 2^24 steps each of high and low part.
            push("step", vec![(momentum.time >> 20) as f32, (momentum.time & 0xf_ffff) as f32]);
        }
        tensors.extend(self.muon.iter().flat_map(NamedMuon::tensors));
        tensors
    }

    /// Takes the state of [`NamedOptimizer::tensors`] back.
    ///
    /// # Errors
    /// [`CheckpointError`] if a tensor is missing or unreadable.
    pub fn restore(&mut self, weights: &Weights, device: &Device) -> Result<(), CheckpointError> {
        self.state.clear();
        if let Some(muon) = &mut self.muon {
            muon.restore(weights, device)?;
        }
        for entry in weights.entries() {
            let Some(name) = entry.name.strip_suffix(".step") else { continue };
            let read = |suffix: &str| -> Result<Tensor<1>, CheckpointError> {
                let values = weights.read_f32(&format!("{name}.{suffix}"))?;
                let count = values.len();
                Ok(Tensor::from_data(TensorData::new(values, [count]), device))
            };
            let step = weights.read_f32(&entry.name)?;
            let part = |at: usize| step.get(at).map_or(0, |&part| part as usize);
            let momentum = AdaptiveMomentumState::new((part(0) << 20) + part(1), read("exp_avg")?, read("exp_avg_sq")?);
            self.state.insert(name.to_owned(), AdamWState::new(momentum));
        }
        Ok(())
    }
}

/// The Euclidean norm of all gradients together.
fn norm(gradients: &Named) -> f64 {
    let squares: Vec<Tensor<1>> = gradients.values().map(|gradient| gradient.clone().square().sum()).collect();
    if squares.is_empty() {
        return 0.0;
    }
    Tensor::cat(squares, 0).into_data().iter::<f64>().sum::<f64>().sqrt()
}

/// Whether weight decay applies: matrices, but no codebook, embedding, norm, token or bias.
///
/// Source: the parameter groups of One-D-Piece's and TiTok's training code.
pub fn is_decayed(name: &str, shape: &[usize]) -> bool {
    let spared = ["ln", "bias", "latent_tokens", "mask_token", "embedding", "norm", "gamma"];
    shape.len() >= 2 && !spared.iter().any(|part| name.contains(part))
}
