//! Cases of Token-Shuffle: a teacher-forced pass, its losses, and greedy decoding under each schedule.

use burn::tensor::{Device, Int, Tensor, TensorData};
use tessera_generators::GuidanceSchedule;
use tessera_generators::token_shuffle::{TokenShuffleConfig, load, losses, teach};
use tessera_layers::Trace;

use super::inputs::int_input;
use super::{Case, CaseError, Value, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    if case.kind != "token-shuffle" {
        let (system, kind) = (case.system.clone(), case.kind.clone());
        return Err(CaseError::UnknownKind { system, kind, known: "token-shuffle" });
    }
    let config = TokenShuffleConfig::from_value(&case.config)?;
    let generator = load(&config, &case.weights()?, device)?;
    let (network, windows) = (generator.network(), generator.windows());
    let text = int_input(case, "text_tokens", config.text_vocab, device)?;
    let (codes, layout) = codes(case, &config, device)?;
    let ([rows, words], tokens) = (text.dims(), codes.dims()[1]);
    if codes.dims()[0] != rows || tokens != windows.positions().len() {
        let expected = format!("{rows} rows of {} codes", windows.positions().len());
        return Err(CaseError::input("input \"image_tokens\"", expected, format!("{:?}", codes.dims())));
    }
    let (count, size) = (windows.count(), windows.size());

    let mut observer = |name: &str, tap| values.tap(&format!("train.{name}"), tap);
    let taught = teach(network, &config, windows, text.clone(), codes, &mut Trace::new(&mut observer));
    let losses = losses(&taught, &config, windows, text.clone(), 0.0);
    values.floats("train.input_sequence", taught.input);
    values.integers("train.groups", taught.groups.reshape([rows, count, size]));
    values.floats("train.text_logits", taught.text);
    let [_, _, all] = taught.image.dims();
    values.floats("train.image_logits", taught.image.reshape([rows, count, size, all]));
    values.floats("train.eoi_logits", taught.end);
    let image = losses.by_window.mean();
    let total = image.clone()
        + losses.text.clone().mul_scalar(config.text_loss_weight)
        + losses.z_loss.clone().mul_scalar(config.z_loss_weight);
    for (name, loss) in [
        ("loss_image", image),
        ("loss_text", losses.text),
        ("loss_eoi", losses.end),
        ("z_loss", losses.z_loss),
        ("loss_total", total),
    ] {
        values.floats(&format!("train.{name}"), loss);
    }

    let words_of: Vec<u32> = text.into_data().iter::<i64>().map(|id| u32::try_from(id).unwrap_or(0)).collect();
    let prompts: Vec<Vec<u32>> = match words {
        0 => vec![Vec::new(); rows],
        _ => words_of.chunks(words).map(<[u32]>::to_vec).collect(),
    };
    for (name, scale, schedule) in [
        ("half_linear", config.cfg_scale, GuidanceSchedule::HalfLinear),
        ("linear", config.cfg_scale, GuidanceSchedule::Linear),
        ("constant", config.cfg_scale, GuidanceSchedule::Constant),
        ("none", 1.0, GuidanceSchedule::Constant),
    ] {
        if !values.wants_any(&format!("gen.{name}.")) {
            continue;
        }
        let greedy = generator.greedy(&prompts, scale, schedule)?;
        values.integers(&format!("gen.{name}.groups"), greedy.groups.reshape([rows, count, size]));
        let [_, _, codes] = greedy.logits.dims();
        values.floats(&format!("gen.{name}.logits"), greedy.logits.reshape([rows, count, size, codes]));
        values.insert(&format!("gen.{name}.cfg_per_group"), Value::Floats(vec![count], greedy.scales));
        let shape = std::iter::once(rows).chain(layout.iter().copied()).collect();
        let ids = greedy.ids.into_data().iter::<i64>().collect();
        values.insert(&format!("gen.{name}.tokens"), Value::Integers(shape, ids));
    }
    Ok(())
}

/// Codes `[rows, tokens]`, and the shape of a row in the case's files.
fn codes(case: &Case, config: &TokenShuffleConfig, device: &Device) -> Result<(Tensor<2, Int>, Vec<usize>), CaseError> {
    if config.grid.is_none() {
        let codes = int_input(case, "image_tokens", config.image_vocab, device)?;
        let layout = vec![codes.dims()[1]];
        return Ok((codes, layout));
    }
    let ([rows, height, width], values) = case.integers::<3>("image_tokens")?;
    let checked = values.iter().map(|&value| {
        i32::try_from(value).ok().filter(|&id| usize::try_from(id).is_ok_and(|id| id < config.image_vocab)).ok_or_else(
            || {
                let expected = format!("ids in 0..{}", config.image_vocab);
                CaseError::input("input \"image_tokens\"", expected, value.to_string())
            },
        )
    });
    let values = checked.collect::<Result<Vec<i32>, _>>()?;
    Ok((Tensor::from_data(TensorData::new(values, [rows, height * width]), device), vec![height, width]))
}
