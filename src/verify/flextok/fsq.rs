//! The quantizer alone: codes, indices, the way back, and the straight-through gradient.

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::Value as Json;
use tessera_shaders::{MAX_FSQ_DIM, MAX_FSQ_LEVEL, fsq, fsq_bounded, fsq_codes};
use tessera_tokenizers::ConfigError;

use super::super::inputs::float_input;
use crate::verify::{Case, CaseError, Value, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let tracked = device.clone().autodiff();
    for entry in case.config.get("cases").and_then(Json::as_array).cloned().unwrap_or_default() {
        let prefix = entry.get("prefix").and_then(Json::as_str).unwrap_or_default().to_owned();
        let levels = levels(&entry)?;
        let name = |name: &str| format!("{prefix}.{name}");

        let z = float_input::<2>(case, &name("z"), device)?;
        let (codes, ids) = fsq(z.clone(), &levels);
        values.floats(&name("bounded"), fsq_bounded(z, &levels));
        values.floats(&name("codes"), codes);
        values.floats(&name("codes_from_indices"), fsq_codes(ids.clone(), &levels));
        values.integers(&name("indices"), ids.clone());
        values.insert(&name("level_ids"), digits(ids, &levels));

        let z = float_input::<2>(case, &name("z"), &tracked)?.require_grad();
        let weights = float_input::<2>(case, &name("grad_out"), &tracked)?;
        let gradients = (fsq(z.clone(), &levels).0 * weights).sum().backward();
        if let Some(gradient) = z.grad(&gradients) {
            values.floats(&name("ste_grad_z"), gradient);
        }

        let table = table(case, &name("table_indices"), &levels, device)?;
        let codes = fsq_codes(table, &levels);
        values.floats(&name("table_codes"), codes.clone());
        values.integers(&name("table_indices_roundtrip"), fsq(unbounded(codes, &levels), &levels).1);
    }
    Ok(())
}

fn levels(entry: &Json) -> Result<Vec<u32>, CaseError> {
    let wrong =
        || ConfigError::invalid("levels", "a few numbers from 2 on whose product is below 2^31", entry.to_string());
    let items = entry.get("levels").and_then(Json::as_array).ok_or_else(wrong)?;
    let level = |item: &Json| {
        item.as_u64().and_then(|level| u32::try_from(level).ok()).filter(|level| (2..=MAX_FSQ_LEVEL).contains(level))
    };
    let levels = items.iter().map(level).collect::<Option<Vec<u32>>>().ok_or_else(wrong)?;
    let codes = levels.iter().try_fold(1_i32, |codes, &level| codes.checked_mul(i32::try_from(level).ok()?));
    if codes.is_none() || !(1..=MAX_FSQ_DIM).contains(&levels.len()) {
        return Err(wrong().into());
    }
    Ok(levels)
}

/// The level of each dimension, `[rows, dims]`.
fn digits(ids: Tensor<1, Int>, levels: &[u32]) -> Value {
    let ids: Vec<i64> = ids.into_data().iter::<i64>().collect();
    let digits = ids.iter().flat_map(|&id| {
        levels.iter().scan(id, |rest, &level| {
            let digit = *rest % i64::from(level);
            *rest /= i64::from(level);
            Some(digit)
        })
    });
    Value::Integers(vec![ids.len(), levels.len()], digits.collect())
}

fn table(case: &Case, name: &str, levels: &[u32], device: &Device) -> Result<Tensor<1, Int>, CaseError> {
    let (shape, ids) = case.integers::<1>(name)?;
    let codes: i32 = levels.iter().fold(1, |codes, &level| codes.wrapping_mul(level as i32));
    let checked = ids.iter().map(|&id| {
        i32::try_from(id)
            .ok()
            .filter(|id| (0..codes).contains(id))
            .ok_or_else(|| CaseError::input(format!("input \"{name}\""), format!("ids in 0..{codes}"), id.to_string()))
    });
    Ok(Tensor::from_data(TensorData::new(checked.collect::<Result<Vec<i32>, _>>()?, shape), device))
}

/// Latents that quantize to these codes: the bound undone, on the host.
fn unbounded(codes: Tensor<2>, levels: &[u32]) -> Tensor<2> {
    let device = codes.device();
    let shape = codes.dims();
    let scales: Vec<_> = levels.iter().map(|&level| tessera_shaders::FsqScale::of(level)).collect();
    let values: Vec<f32> = codes.into_data().iter::<f32>().collect();
    let undo = |(code, scale): (&f32, &tessera_shaders::FsqScale)| {
        ((code * scale.width + scale.offset) / scale.half).atanh() - scale.shift
    };
    let latents: Vec<f32> =
        values.chunks(levels.len().max(1)).flat_map(|row| row.iter().zip(&scales).map(undo)).collect();
    Tensor::from_data(TensorData::new(latents, shape), &device)
}
