//! The generator: a teacher-forced pass, what sees what, greedy decoding in several steps, and the filters of sampling.

use burn::tensor::{Device, Int, Tensor, TensorData};
use tessera_generators::tokenflow_t2i::{Strategy, T2iPrompt, TokenFlowT2i, TokenFlowT2iConfig, load_with, segments};
use tessera_layers::Trace;
use tessera_shaders::{Filter, filtered_probabilities};
use tessera_tokenizers::tokenflow;

use super::bytes;
use crate::verify::inputs::float_input;
use crate::verify::{Case, CaseError, Value, Values};

/// The tokenizer's weights.
const TOKENIZER: &str = "tokenizer.safetensors";

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let config = TokenFlowT2iConfig::from_value(&case.config)?;
    let (tokenizer, _) = tokenflow::load(&config.tokenizer, &case.weights_of(TOKENIZER)?, device)?;
    let codes = tokenizer.network().quantizer().codes();
    let generator = load_with(&config, &case.weights()?, codes, device)?;
    let prompt = prompt(case, &generator)?;

    let mut shortest: Option<(usize, Tensor<2, Int>)> = None;
    for (name, strategy) in &config.sampling.strategies {
        if !values.wants_any(&format!("{name}.")) {
            continue;
        }
        let steps = greedy_steps(name, strategy)?;
        let greedy = generator.greedy(&prompt, config.sampling.cfg, steps)?;
        values.integers(&format!("{name}.tokens"), greedy.ids.clone());
        for (run, logits) in greedy.logits.into_iter().enumerate() {
            values.floats(&format!("{name}.call{run}.cfg_logits"), logits);
        }
        let network = tokenizer.network();
        let pixels = network.pixels(network.sum(greedy.ids.clone(), None), &mut Trace::none());
        bytes::take(&format!("{name}.image_uint8"), pixels, 128.0, values);
        if shortest.as_ref().is_none_or(|(least, _)| steps < *least) {
            shortest = Some((steps, greedy.ids));
        }
    }
    if let Some((_, ids)) = shortest {
        taught(case, &generator, &prompt, ids, device, values)?;
    }
    filters(case, device, values)
}

/// Rows of ids, padded in front: those that are followed, then those that guidance leads away from.
fn prompt(case: &Case, generator: &TokenFlowT2i) -> Result<T2iPrompt, CaseError> {
    let ([rows, length], ids) = case.integers::<2>("prefix_ids")?;
    let ids = ids.into_iter().map(|id| {
        u32::try_from(id).map_err(|_| CaseError::input("input \"prefix_ids\"", "ids from 0 on", id.to_string()))
    });
    let ids: Vec<u32> = ids.collect::<Result<_, _>>()?;
    if rows % 2 != 0 || length == 0 {
        let expected = "as many conditional as unconditional rows";
        return Err(CaseError::input("input \"prefix_ids\"", expected, format!("[{rows}, {length}]")));
    }
    let mut prompts: Vec<Vec<u32>> = ids.chunks(length).map(<[u32]>::to_vec).collect();
    let negative = prompts.split_off(rows / 2);
    Ok(T2iPrompt::new(prompts, negative, generator.special_ids())?)
}

/// How many steps a strategy has that draws nothing but the most likely code.
fn greedy_steps(name: &str, strategy: &Strategy) -> Result<usize, CaseError> {
    match strategy.topk_list.iter().all(|&top_k| top_k == 1) && !strategy.topk_list.is_empty() {
        true => Ok(strategy.topk_list.len()),
        false => {
            let found = format!("{:?}", strategy.topk_list);
            Err(CaseError::input(format!("strategy \"{name}\""), "top-k 1 in every step: nothing is drawn", found))
        }
    }
}

/// One pass over prompts and whole pictures: those of the strategy with the fewest steps, under conditional and unconditional
/// prompts alike.
fn taught(
    case: &Case,
    generator: &TokenFlowT2i,
    prompt: &T2iPrompt,
    ids: Tensor<2, Int>,
    device: &Device,
    values: &mut Values,
) -> Result<(), CaseError> {
    let ([rows, length], prefix) = case.integers::<2>("prefix_ids")?;
    let (network, scales) = (generator.network(), generator.scales());
    let ids = Tensor::cat(vec![ids.clone(), ids], 0);
    let prefix = prefix.into_iter().map(|id| i32::try_from(id).unwrap_or(0)).collect::<Vec<i32>>();
    let prefix = Tensor::<2, Int>::from_data(TensorData::new(prefix, [rows, length]), device);
    let start = i64::try_from(generator.config().image_token_start()).unwrap_or(0);
    values.integers("teacher_forced.sequence", Tensor::cat(vec![prefix, ids.clone().add_scalar(start)], 1));

    // Which positions see which, row by row.
    let kept = prompt.kept();
    let parts = segments(length, scales);
    let positions: usize = parts.iter().map(|part| part.count).sum();
    let mut visible = Vec::with_capacity(positions);
    let mut before = 0;
    for part in &parts {
        let keys = before + part.count;
        visible.extend((0..part.count).map(|query| part.mask.visible(query, part.count, keys)));
        before = keys;
    }
    let is_text = |row: usize, at: usize| at >= length || kept.get(row * length + at).copied().unwrap_or(false);
    let mut marks = Vec::new();
    for row in 0..rows {
        for seen in &visible {
            marks.extend((0..positions).map(|key| i64::from(key < *seen && is_text(row, key))));
        }
    }
    values.insert("teacher_forced.attend", Value::Integers(vec![rows, positions, positions], marks));

    let mut observer = |name: &str, tap| values.tap(&format!("teacher_forced.{name}"), tap);
    let states = network.teach(prompt, generator.codes(), scales, ids, &mut Trace::new(&mut observer));
    let logits = network.logits(states);
    let [_, _, vocab] = logits.dims();
    values.floats("teacher_forced.logits", logits);
    // Rows of padding mean nothing.
    let text = (0..rows).flat_map(|row| (0..positions).map(move |at| (row, at)));
    let text = text.flat_map(|(row, at)| std::iter::repeat_n(is_text(row, at), vocab)).collect();
    values.check_only("teacher_forced.logits", text);
    Ok(())
}

/// Probabilities that the filters leave, by the numbers in the names: `sampler.k<top-k>_p<top-p>.probs`, 0 for no filter.
fn filters(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let wanted: Vec<String> = values.wanted().filter(|name| name.starts_with("sampler.")).map(str::to_owned).collect();
    for name in wanted {
        let numbers = name.strip_prefix("sampler.k").and_then(|rest| rest.strip_suffix(".probs")?.split_once("_p"));
        let parsed = numbers.and_then(|(k, p)| Some((k.parse::<usize>().ok()?, p.parse::<f32>().ok()?)));
        let Some((top_k, top_p)) = parsed else { continue };
        let logits = float_input::<3>(case, "sampler_logits", device)?;
        let [rows, places, codes] = logits.dims();
        let filter = Filter { temperature: 1.0, top_k, top_p: if top_p > 0.0 { top_p } else { 1.0 } };
        let (_, shares) = filtered_probabilities(logits.reshape([rows * places, codes]), None, 1.0, filter);
        values.floats(&name, shares.reshape([rows, places, codes]));
    }
    Ok(())
}
