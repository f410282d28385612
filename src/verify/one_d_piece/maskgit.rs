//! MaskGIT generators: logits, loss, and sampling with recorded draws.

use std::ops::ControlFlow;

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::Value as Json;
use tessera_generators::maskgit::{Draws, MaskGit, SamplingConfig, load, masked_loss, sample};
use tessera_layers::Trace;
use tessera_tokenizers::ConfigError;

use super::int_input;
use crate::verify::{Case, CaseError, Value, Values};

/// Label smoothing and weight of visible positions in the recorded loss, as in the released recipe.
const SMOOTHING: f64 = 0.1;
const UNMASKED: f64 = 0.1;

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let generator = load(&case.config, &case.weights()?, device)?;
    let config = &generator.config;
    let ids = int_input(case, "input_ids", config.mask_id() + 1, device)?;
    let classes = classes(case, &generator)?;

    let unconditional = vec![None; classes.len()];
    values.floats("uncond_logits", logits(&generator, ids.clone(), &unconditional, device, &mut Trace::none()));
    let mut observer = |name: &str, tap| values.tap(name, tap);
    let cond = logits(&generator, ids.clone(), &classes, device, &mut Trace::new(&mut observer));
    values.floats("cond_logits", cond.clone());
    if values.wants_any("loss.") {
        let targets = int_input(case, "loss.targets", config.codebook_size, device)?;
        let mask = ids.equal_elem(i64::try_from(config.mask_id()).unwrap_or(i64::MAX));
        let loss = masked_loss(cond, targets, mask, SMOOTHING, UNMASKED);
        values.floats("loss.value", loss.loss);
        values.floats("loss.correct_tokens", loss.correct_tokens);
    }
    let runs = case.config.get("golden_sampling").and_then(Json::as_object);
    for (name, settings) in runs.into_iter().flatten() {
        let sampling: SamplingConfig = serde_json::from_value(settings.clone())
            .map_err(|error| ConfigError::invalid("golden_sampling", "sampling settings", error.to_string()))?;
        sampled(case, &generator, name, &sampling, &classes, device, values)?;
    }
    Ok(())
}

fn classes(case: &Case, generator: &MaskGit) -> Result<Vec<Option<usize>>, CaseError> {
    let known = generator.config.condition_num_classes;
    let (_, labels) = case.integers::<1>("class_labels")?;
    labels
        .into_iter()
        .map(|label| {
            usize::try_from(label).ok().filter(|&class| class < known).map(Some).ok_or_else(|| {
                CaseError::input("input \"class_labels\"", format!("classes 0..{known}"), label.to_string())
            })
        })
        .collect()
}

fn logits(
    generator: &MaskGit,
    ids: Tensor<2, Int>,
    classes: &[Option<usize>],
    device: &Device,
    trace: &mut Trace,
) -> Tensor<3> {
    let ids_of_classes: Vec<i32> =
        classes.iter().map(|&class| i32::try_from(generator.config.class_id(class)).unwrap_or(i32::MAX)).collect();
    let data = TensorData::new(ids_of_classes, [classes.len(), 1]);
    generator.network.forward(Tensor::cat(vec![Tensor::from_data(data, device), ids], 1), trace)
}

#[allow(clippy::too_many_arguments, reason = "one run of one case, called once")]
fn sampled(
    case: &Case,
    generator: &MaskGit,
    run: &str,
    sampling: &SamplingConfig,
    classes: &[Option<usize>],
    device: &Device,
    values: &mut Values,
) -> Result<(), CaseError> {
    let config = &generator.config;
    let (batch, positions) = (classes.len(), config.image_seq_len);
    let steps = sampling.num_sample_steps;
    let (shape, logits) = case.floats::<4>(&format!("{run}.uniform_logits"))?;
    let (confidence_shape, confidence) = case.floats::<3>(&format!("{run}.uniform_confidence"))?;
    let expected = [steps, batch, positions, config.codebook_size];
    if shape != expected || confidence_shape != [steps, batch, positions] {
        let found = format!("{shape:?} and {confidence_shape:?}");
        return Err(CaseError::input(format!("draws of run \"{run}\""), format!("{expected:?}"), found));
    }
    let mask = i64::try_from(config.mask_id()).unwrap_or(i64::MAX);
    let mut history = vec![mask; batch * positions];
    let mut draws = Recorded { logits, confidence };
    let ids = sample(&generator.network, config, sampling, classes, &mut draws, device, &mut |step| {
        history.extend(step.ids().unwrap_or_default().into_iter().map(|id| id.map_or(mask, i64::from)));
        ControlFlow::Continue(())
    })?;
    values.insert(&format!("{run}.ids_per_step"), Value::Integers(vec![steps + 1, batch, positions], history));
    let ids = ids.into_iter().map(i64::from).collect();
    values.insert(&format!("{run}.tokens"), Value::Integers(vec![batch, positions], ids));
    Ok(())
}

/// The case's own random draws.
struct Recorded {
    logits: Vec<f32>,
    confidence: Vec<f32>,
}

impl Draws for Recorded {
    fn logits(&mut self, step: usize, count: usize) -> Vec<f32> {
        self.logits.get(step * count..(step + 1) * count).unwrap_or_default().to_vec()
    }

    fn confidence(&mut self, step: usize, count: usize) -> Vec<f32> {
        self.confidence.get(step * count..(step + 1) * count).unwrap_or_default().to_vec()
    }
}
