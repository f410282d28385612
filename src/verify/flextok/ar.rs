//! The autoregressive generator: a teacher-forced pass, its loss, and greedy decoding.

use burn::tensor::Device;
use tessera_generators::flextok_ar::{FlexTokArConfig, GuidanceForm, Label, load};
use tessera_layers::{Trace, cross_entropy};

use super::super::inputs::int_input;
use crate::verify::{Case, CaseError, Value, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let config = FlexTokArConfig::from_value(&case.config)?;
    let generator = load(&config, &case.weights()?, device)?;
    let ids = int_input(case, "tokens", config.codebook_size, device)?;
    let labels = labels(case, config.num_classes)?;
    let [batch, tokens] = ids.dims();
    if labels.len() != batch || tokens == 0 || tokens > config.num_tokens {
        let found = format!("{batch} x {tokens} and {} labels", labels.len());
        let expected = format!("a label for each row, and rows of 1 to {} tokens", config.num_tokens);
        return Err(CaseError::input("tokens and class_labels", expected, found));
    }
    let mut observer = |name: &str, tap| values.tap(&format!("teacher.{name}"), tap);
    let logits = generator.network().teach(ids.clone(), &labels, &mut Trace::new(&mut observer));
    values.floats("teacher.logits", logits.clone());
    values.floats("teacher.cross_entropy", cross_entropy(logits, ids.clone()));
    let unconditional = generator.network().teach(ids, &vec![None; batch], &mut Trace::none());
    values.floats("teacher.logits_uncond", unconditional);

    let runs: std::collections::BTreeSet<(String, String)> = values
        .wanted()
        .filter_map(|name| {
            let name = name.strip_prefix("greedy.cfg")?;
            let (rest, _) = name.rsplit_once('.')?;
            let (scale, form) = rest.rsplit_once('.')?;
            Some((scale.to_owned(), form.to_owned()))
        })
        .collect();
    for (scale, form) in runs {
        let prefix = format!("greedy.cfg{scale}.{form}");
        let form = match form.as_str() {
            "intended" => GuidanceForm::Intended,
            "reference" => GuidanceForm::Reference,
            _ => continue,
        };
        let scale = match scale.as_str() {
            "none" => None,
            number => Some(number.parse::<f32>().map_err(|error| {
                CaseError::input(format!("\"{prefix}\""), "none or a scale behind cfg", error.to_string())
            })?),
        };
        let kept = case.config["generation"]["num_keep_tokens"].as_u64().and_then(|kept| usize::try_from(kept).ok());
        let greedy = generator.greedy(&labels, kept.unwrap_or(config.num_tokens), scale, form)?;
        let [tokens, rows, _] = greedy.logits.dims();
        values.floats(&format!("{prefix}.logits"), greedy.logits);
        let ids = greedy.ids.into_iter().map(i64::from).collect();
        values.insert(&format!("{prefix}.tokens"), Value::Integers(vec![rows, tokens], ids));
    }
    Ok(())
}

fn labels(case: &Case, classes: usize) -> Result<Vec<Label>, CaseError> {
    let (_, labels) = case.integers::<1>("class_labels")?;
    let known = |label: i64| {
        u32::try_from(label).ok().filter(|&label| usize::try_from(label).is_ok_and(|label| label < classes)).map(Some)
    };
    labels
        .into_iter()
        .map(|label| {
            let expected = format!("classes 0..{classes}");
            known(label).ok_or_else(|| CaseError::input("input \"class_labels\"", expected, label.to_string()))
        })
        .collect()
}
