//! Decoders over tokens (LlamaGen, NAR): a teacher-forced pass, its loss, order, mask, and greedy decoding.

use burn::tensor::{Device, Int, Tensor, TensorData};
use tessera_generators::decoder::{Decoder, DecoderConfig, ModelType, Prompt, load};
use tessera_layers::{Trace, cross_entropy};

use super::inputs::{float_input, int_input};
use crate::verify::{Case, CaseError, Value, Values};

/// Checks the case against the model of its configuration.
pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let config = DecoderConfig::from_value(&case.config)?;
    let generator = load(&config, &case.weights()?, device)?;
    let network = generator.network();
    let ids = int_input(case, "train.tokens", config.vocab_size, device)?;
    let [rows, tokens] = ids.dims();
    if tokens != config.block_size {
        let expected = format!("[rows, {}]", config.block_size);
        return Err(CaseError::input("input \"train.tokens\"", expected, format!("[{rows}, {tokens}]")));
    }
    let prompt = prompt(case, &config, rows, device)?;
    order(network, &prompt, values);

    let mut taps = Vec::new();
    let mut observer = |name: &str, tap| taps.push((name.to_owned(), tap));
    let states = network.teach(ids.clone(), &prompt, &mut Trace::new(&mut observer));
    for (name, tap) in taps {
        let name = format!("train.{name}");
        match tap {
            tessera_layers::Tap::Rank3(tensor) => values.floats(&name, raster(network, tensor)),
            other => values.tap(&name, other),
        }
    }
    let (right, below) = network.heads(&states);
    values.floats("train.output_head", raster(network, right));
    if let Some(below) = below {
        values.floats("train.medusa_head", raster(network, below));
    }
    let logits = network.logits(&states, 0..tokens);
    let places = index(network.order().places(), device);
    values.floats("train.logits", logits.clone().select(1, places));
    values.floats("train.loss", cross_entropy(logits, network.in_order(ids)));

    for (name, scale, interval) in [
        ("cfg", scale(case)?, None),
        ("nocfg", 1.0, None),
        ("cfg_interval", scale(case)?, case.config["cfg_interval_case"].as_u64()),
    ] {
        if !values.wants_any(&format!("gen.{name}.")) {
            continue;
        }
        let interval = interval.and_then(|interval| usize::try_from(interval).ok());
        let greedy = network.greedy(&prompt, scale, interval)?;
        values.integers(&format!("gen.{name}.tokens"), greedy.ids);
        values.floats(&format!("gen.{name}.step_logits"), greedy.logits);
    }
    Ok(())
}

fn scale(case: &Case) -> Result<f32, CaseError> {
    if case.has_input("gen.cfg_scale") {
        let (_, scale) = case.floats::<1>("gen.cfg_scale")?;
        if let Some(scale) = scale.first() {
            return Ok(*scale);
        }
    }
    let scale = case.config["cfg_scale"].as_f64();
    scale.map(|scale| scale as f32).ok_or_else(|| {
        CaseError::input("the scale of guidance", "an input \"gen.cfg_scale\" or a key \"cfg_scale\"", "neither")
    })
}

fn prompt(case: &Case, config: &DecoderConfig, rows: usize, device: &Device) -> Result<Prompt, CaseError> {
    if config.model_type == ModelType::Classes {
        let (_, labels) = case.integers::<1>("train.labels")?;
        let known = |label: i64| {
            u32::try_from(label)
                .ok()
                .filter(|&label| usize::try_from(label).is_ok_and(|label| label < config.num_classes))
        };
        let labels = labels.into_iter().map(|label| {
            known(label).map(Some).ok_or_else(|| {
                let expected = format!("classes 0..{}", config.num_classes);
                CaseError::input("input \"train.labels\"", expected, label.to_string())
            })
        });
        let labels: Vec<_> = labels.collect::<Result<_, _>>()?;
        return match labels.len() == rows {
            true => Ok(Prompt::Classes(labels)),
            false => {
                Err(CaseError::input("input \"train.labels\"", format!("{rows} labels"), labels.len().to_string()))
            }
        };
    }
    let features = float_input::<3>(case, "train.caption", device)?;
    let kept = int_input(case, "train.emb_mask", 2, device)?;
    if features.dims() != [rows, config.cls_token_num, config.caption_dim]
        || kept.dims() != [rows, config.cls_token_num]
    {
        let expected = format!("[{rows}, {}, {}]", config.cls_token_num, config.caption_dim);
        return Err(CaseError::input(
            "caption and mask",
            expected,
            format!("{:?}, {:?}", features.dims(), kept.dims()),
        ));
    }
    let kept = kept.into_data().iter::<i64>().map(|mark| mark != 0).collect();
    Ok(Prompt::Features { features, kept, dropped: vec![false; rows] })
}

/// Angles, decoding order and masks, in the layout's order of positions.
fn order(network: &Decoder, prompt: &Prompt, values: &mut Values) {
    let (order, device) = (network.order(), network.device());
    let (first, tokens) = (order.first(), order.positions().len());
    let all = network.rotary().at(0..first + tokens, &device);
    let pairs = Tensor::stack::<3>(vec![all.cos, all.sin], 2);
    values.floats("rope.freqs_cis", pairs.select(0, index(sequence(network), &device)));

    let numbers = |numbers: Vec<usize>| numbers.into_iter().map(|number| number as i64).collect::<Vec<i64>>();
    values.insert("order.positions", Value::Integers(vec![tokens], numbers(order.positions().to_vec())));
    let mut step_of = vec![0; tokens];
    for (step, run) in order.steps().iter().enumerate() {
        for &position in order.positions().get(run.clone()).unwrap_or_default() {
            if let Some(slot) = step_of.get_mut(position) {
                *slot = step;
            }
        }
    }
    values.insert("order.step_of_position", Value::Integers(vec![tokens], numbers(step_of)));
    let sizes: Vec<usize> = order.steps().iter().map(ExactSizeIterator::len).collect();
    values.insert("order.step_sizes", Value::Integers(vec![sizes.len()], numbers(sizes)));

    // Which positions see which: the rule about places, read at the places of positions.
    let places = sequence(network);
    let sees = |query: usize, key: usize| match (places.get(query), places.get(key)) {
        (Some(&query), Some(&key)) => key < order.mask().visible(query, first + tokens, first + tokens),
        _ => key <= query, // beyond the sequence
    };
    let rows = prompt.rows();
    let kept = match prompt {
        Prompt::Features { kept, .. } => kept.clone(),
        _ => vec![true; rows * first],
    };
    let marks = |length: usize| {
        let marks = (0..rows).flat_map(|row| {
            let held = kept.get(row * first..(row + 1) * first).unwrap_or_default();
            let open = |key: usize| held.get(key).copied().unwrap_or(true);
            let pairs = (0..length).flat_map(|query| (0..length).map(move |key| (query, key)));
            let marks = pairs.map(|(query, key)| i64::from(query == key || (open(key) && sees(query, key))));
            marks.collect::<Vec<i64>>()
        });
        Value::Integers(vec![rows, length, length], marks.collect())
    };
    values.insert("train.mask", marks(first + order.taught()));
    // The reference's buffers are a multiple of eight long.
    values.insert("mask.inference", marks((first + tokens).next_multiple_of(8)));
}

/// The place in the sequence of each position: condition positions first, tokens in the layout's order.
fn sequence(network: &Decoder) -> Vec<usize> {
    let first = network.order().first();
    (0..first).chain(network.order().places().into_iter().map(|place| first + place)).collect()
}

/// `[rows, positions, channels]` by place in the sequence as by position of the layout.
fn raster(network: &Decoder, by_place: Tensor<3>) -> Tensor<3> {
    let ([_, count, _], device) = (by_place.dims(), by_place.device());
    let places: Vec<usize> = sequence(network).into_iter().filter(|&place| place < count).collect();
    by_place.select(1, index(places, &device))
}

fn index(places: Vec<usize>, device: &Device) -> Tensor<1, Int> {
    let places: Vec<i32> = places.into_iter().map(|place| i32::try_from(place).unwrap_or(0)).collect();
    let count = places.len();
    Tensor::from_data(TensorData::new(places, [count]), device)
}
