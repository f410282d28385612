//! Muon over matrices by name.

use std::collections::BTreeMap;

use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumState;
use burn::optim::{AdjustLrFn, Muon, MuonConfig, MuonState, Optimizer as _, RecordState as _, StateSink};
use burn::tensor::{Device, Tensor, TensorData};
use tessera_layers::ParamSpec;
use tessera_layers::checkpoint::{CheckpointError, NamedTensor, Weights};

use super::optimizer::is_decayed;

/// What the name of a part of the momentum has between the parameter's name and the number of the part.
const MOMENTUM: &str = ".momentum_buffer.";

/// Muon (Jordan et al. 2024): momentum, each matrix of which is replaced by the nearest one that turns and does not stretch, so that rare
/// directions count as much as common ones. Steps are as large as AdamW's at the same rate (Liu et al. 2025, arXiv 2502.16982).
pub struct NamedMuon {
    muon: Muon,
    /// Times the learning rate.
    factor: f64,
    /// Of each of the matrices that a parameter holds.
    states: BTreeMap<String, Vec<MuonState<2>>>,
}

impl NamedMuon {
    /// An optimiser that has seen nothing yet, with decoupled `weight_decay` and steps of `factor` learning rates.
    pub fn new(weight_decay: f64, factor: f64) -> Self {
        let decay = WeightDecayConfig::new(weight_decay as f32);
        let config = MuonConfig::new().with_weight_decay(Some(decay)).with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW);
        Self { muon: config.build(), factor, states: BTreeMap::new() }
    }

    /// One step of a parameter's values along its gradient. A kernel of a convolution is a matrix of as many rows as outputs.
    pub fn step(&mut self, rate: f64, spec: &ParamSpec, values: Tensor<1>, gradient: Tensor<1>) -> Tensor<1> {
        let rows = spec.shape.first().copied().unwrap_or(1);
        let [parts, rows, columns] = matrices(&spec.name, [rows, spec.shape.iter().skip(1).product()]);
        let mut states = self.states.remove(&spec.name).unwrap_or_default().into_iter();
        let part = |part: usize| {
            let of =
                |all: &Tensor<1>| all.clone().narrow(0, part * rows * columns, rows * columns).reshape([rows, columns]);
            let (matrix, state) = self.muon.step(rate * self.factor, of(&values), of(&gradient), states.next());
            (matrix.reshape([-1]), state)
        };
        let (values, states): (Vec<Tensor<1>>, Vec<_>) = (0..parts).map(part).unzip();
        self.states.insert(spec.name.clone(), states.into_iter().flatten().collect());
        Tensor::cat(values, 0)
    }

    /// The momentum as tensors `NAME.momentum_buffer.0`; of packed matrices `.1` and `.2` too.
    pub fn tensors(&self) -> Vec<NamedTensor> {
        let mut tensors = Vec::new();
        for (name, states) in &self.states {
            for (part, state) in states.iter().enumerate() {
                let mut sink = StateSink::default();
                state.state_flatten("", &mut sink);
                tensors.extend(sink.tensors.into_iter().map(|(_, data)| NamedTensor {
                    name: format!("{name}{MOMENTUM}{part}"),
                    shape: data.shape().to_vec(),
                    values: data.iter().collect(),
                }));
            }
        }
        tensors
    }

    /// Takes the momentum of [`NamedMuon::tensors`] back.
    ///
    /// # Errors
    /// [`CheckpointError`] if a tensor is unreadable.
    pub fn restore(&mut self, weights: &Weights, device: &Device) -> Result<(), CheckpointError> {
        self.states.clear();
        // Parts stand in the order of their names.
        for entry in weights.entries() {
            let Some((name, _)) = entry.name.rsplit_once(MOMENTUM) else { continue };
            let &[rows, columns] = entry.shape.as_slice() else { continue };
            let velocity = TensorData::new(weights.read_f32(&entry.name)?, [rows, columns]);
            let state = MuonState::new(MomentumState::new(Tensor::from_data(velocity, device)));
            self.states.entry(name.to_owned()).or_default().push(state);
        }
        Ok(())
    }
}

/// How many matrices a parameter of `[rows, columns]` holds, and their rows and columns: queries, keys and values are turned each for
/// itself.
fn matrices(name: &str, [rows, columns]: [usize; 2]) -> [usize; 3] {
    let is_packed = ["qkv", "in_proj"].iter().any(|part| name.contains(part)) && rows == 3 * columns;
    if is_packed { [3, columns, columns] } else { [1, rows, columns] }
}

/// Whether Muon takes a parameter: the matrices and kernels between a network's layers, no tokens, embeddings, norms, biases or heads of a
/// vocabulary.
pub fn is_hidden_matrix(name: &str, shape: &[usize]) -> bool {
    let spared = ["embed", "head.weight", "output.weight"];
    name.ends_with("weight") && is_decayed(name, shape) && !spared.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use burn::module::ParamId;
    use nalgebra::DMatrix;
    use tessera_layers::Init;
    use tessera_layers::params::Form;

    use super::*;

    fn spec(name: &str, shape: &[usize]) -> ParamSpec {
        ParamSpec {
            name: name.to_owned(),
            shape: shape.to_vec(),
            id: ParamId::new(),
            form: Form::Same,
            init: Init::Normal(1.0),
        }
    }

    /// Directions that a gradient has little of move as far as those that it has much of, and a step is as large as AdamW's.
    #[test]
    fn a_step_turns_and_does_not_stretch() {
        let (rate, factor) = (1e-2, 3.0);
        let mut muon = NamedMuon::new(0.0, factor);
        // Of three packed matrices that stretch eight directions by one to eight, and of a kernel drawn by chance.
        let stretched = (0..24 * 8).map(|at| if at / 8 % 8 == at % 8 { (at % 8 + 1) as f32 } else { 0.0 }).collect();
        let drawn = Init::Normal(1.0).values(8 * 4 * 9, 2, "gradient");
        for (name, shape, gradient) in
            [("blocks.0.attn.qkv.weight", vec![24, 8], stretched), ("conv.weight", vec![8, 4, 3, 3], drawn)]
        {
            let count: usize = shape.iter().product();
            let columns = count / shape[0];
            let mut values = Init::Normal(1.0).values(count, 1, name);
            let gradient = Tensor::from_data(TensorData::new(gradient, [count]), &Device::flex());
            let before = values.clone();
            let tensor = Tensor::from_data(TensorData::new(values.clone(), [count]), &Device::flex());
            values = muon.step(rate, &spec(name, &shape), tensor, gradient).into_data().iter().collect();
            let [parts, rows, _] = matrices(name, [shape[0], columns]);
            assert_eq!(parts, if name.contains("qkv") { 3 } else { 1 });
            let scale = rate * factor * 0.2 * (rows.max(columns) as f64).sqrt();
            for (new, old) in values.chunks(rows * columns).zip(before.chunks(rows * columns)) {
                let moved = new.iter().zip(old).map(|(new, old)| f64::from(old - new) / scale);
                let singular = DMatrix::from_row_iterator(rows, columns, moved).singular_values();
                // Five Newton-Schulz rounds come to between 0.6 and 1.25.
                assert!(singular.iter().all(|value| (0.6..1.25).contains(value)), "{name}: {singular}");
            }
        }
    }

    #[test]
    fn embeddings_heads_and_what_is_no_matrix_are_left_to_adam() {
        for name in ["encoder.blocks.0.attn.qkv.weight", "planes.stages.0.up.weight", "transformer.attn.in_proj_weight"]
        {
            assert!(is_hidden_matrix(name, &[6, 2]), "{name}");
        }
        for name in ["ar.head.weight", "output.weight", "quantizer.embedding.weight", "ar.word_embed.weight", "latents"]
        {
            assert!(!is_hidden_matrix(name, &[6, 2]), "{name}");
        }
        assert!(!is_hidden_matrix("norm1.weight", &[6]) && !is_hidden_matrix("fc.bias", &[6]));
        assert_eq!(matrices("wqkv.weight", [20, 8]), [1, 20, 8], "fewer keys than queries");
    }
}
