//! The generator over scales: mask, a teacher-forced pass, and decoding with given random numbers.

use burn::tensor::{Device, Int, Tensor};
use serde_json::Value as Json;
use tessera_generators::next_scale::{ConditionKind, NextScaleConfig, ScaleGenerator, ScalePrompt, load, taught};
use tessera_generators::sampling::draw;
use tessera_generators::{Condition, Sampling};
use tessera_layers::Trace;
use tessera_shaders::{Chance, Filter, sample_logits};

use super::expect;
use crate::verify::inputs::{float_input, int_input};
use crate::verify::{Case, CaseError, Value, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let config = NextScaleConfig::from_value(&case.config)?;
    let generator = load(&config, &case.weights()?, device)?;
    let network = generator.network();
    let ids = int_input(case, "tokens", config.quantizer.codebook_size, device)?;
    let [rows, _] = ids.dims();
    let tokens = config.quantizer.tokens();
    expect("tokens", ids.dims(), [rows, tokens])?;
    let prompt = generator.prompt(&condition(case, &config, rows, device)?)?;

    let length = network.condition_positions() + tokens;
    let mask = network.mask();
    let marks = (0..length).flat_map(|query| {
        let visible = mask.visible(query, length, length);
        (0..length).map(move |key| i64::from(key < visible))
    });
    values.insert("ar.mask", Value::Integers(vec![length, length], marks.collect()));
    for (scale, input) in (2..).zip(network.inputs(ids.clone())) {
        values.floats(&format!("ar.teacher_input.scale{scale}"), input);
    }
    let mut observer = |name: &str, tap| values.tap(&format!("ar.{name}"), tap);
    let losses = taught(network, ids, &prompt, 0.0, &mut Trace::new(&mut observer));
    values.floats("ar.logits", losses.logits);
    values.floats("ar.loss", losses.loss);
    values.floats("ar.loss_per_scale", losses.by_scale);

    let runs = case.config["sampling_cases"].as_object().cloned().unwrap_or_default();
    for (name, settings) in runs {
        if !values.wants_any(&format!("generated.{name}.")) {
            continue;
        }
        let ids = generated(case, &generator, &prompt, &settings, device)?;
        values.integers(&format!("generated.{name}.tokens"), ids.clone());
        if let Some(sum) = network.quantizer().sums(ids).pop() {
            values.floats(&format!("generated.{name}.z_hat"), sum);
        }
    }
    Ok(())
}

fn condition(case: &Case, config: &NextScaleConfig, rows: usize, device: &Device) -> Result<Condition, CaseError> {
    if config.ar.conditions().is_empty() {
        return Ok(Condition::Unconditional(rows));
    }
    let features = float_input::<3>(case, "cond", device)?;
    expect("cond", features.dims(), [rows, config.ar.cond_tokens, config.ar.cond_dim])?;
    Ok(match config.ar.cond_kind {
        ConditionKind::Image => Condition::ImageFeatures(features),
        ConditionKind::Text => Condition::TextFeatures { features, kept: None },
    })
}

/// Decodes with the settings of one of the case's runs: greedily, or with the random numbers that they name.
fn generated(
    case: &Case,
    generator: &ScaleGenerator,
    prompt: &ScalePrompt,
    settings: &Json,
    device: &Device,
) -> Result<Tensor<2, Int>, CaseError> {
    let number = |key: &str| settings[key].as_f64().map(|number| number as f32);
    let filter = Filter {
        temperature: number("temperature").unwrap_or(1.0),
        top_k: settings["top_k"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0),
        top_p: number("top_p").unwrap_or(1.0),
    };
    let (rows, tokens) = (prompt.rows(), generator.config().quantizer.tokens());
    let uniform = match settings["uniform"].as_str() {
        Some(name) => {
            let name = name.strip_prefix("inputs/").unwrap_or(name);
            let uniform = float_input::<2>(case, name, device)?;
            expect(name, uniform.dims(), [rows, tokens])?;
            Some(uniform)
        }
        None => None,
    };
    let ranges = generator.network().quantizer().ranges();
    let ids = generator.decode(
        prompt,
        number("cfg").unwrap_or(0.0),
        &mut |conditional, unconditional, scale, step| match (&uniform, ranges.get(step)) {
            (Some(uniform), Some(range)) => {
                let chance = uniform.clone().narrow(1, range.start, range.len()).reshape([rows * range.len()]);
                sample_logits(conditional, unconditional, scale, filter, Chance::Given(chance))
            }
            _ => draw(conditional, unconditional, scale, Sampling::GREEDY, 0, 0),
        },
    )?;
    Ok(ids)
}
