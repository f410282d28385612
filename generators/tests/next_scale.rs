//! Next-scale prediction beyond its recorded case.

use std::ops::ControlFlow;

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tessera_generators::next_scale::{
    self, NextScale, NextScaleConfig, PromptPart, ScaleGenerator, ScalePrompt, drop_conditions, random, save, taught,
};
use tessera_generators::{
    Condition, GenerateOptions, Generator as _, GeneratorConfig, GeneratorError, Given, GuidanceSchedule, Sampling,
    from_pretrained,
};
use tessera_layers::Trace;
use tessera_tokenizers::{ConfigError, Fingerprint, TokenLayout, Tokens};

const TOKENS: usize = 1 + 2 + 5 + 8;

fn document() -> Value {
    json!({
        "model_type": "vat", "latent_dim": 3, "num_latents": 8,
        "quantizer": {"scales": [1, 2, 5, 8], "codebook_size": 11},
        "ar": {"dim": 24, "depth": 2, "heads": 3, "mlp_ratio": 2.0, "qk_norm": true, "cond_tokens": 4, "cond_dim": 6},
    })
}

fn config(changes: &[(&str, Value)]) -> Result<NextScaleConfig, ConfigError> {
    let mut document = document();
    for (key, value) in changes {
        document["ar"][key] = value.clone();
    }
    NextScaleConfig::from_value(&document)
}

/// Conditions of every sort, with and without unit-length keys.
fn generators() -> Vec<ScaleGenerator> {
    let changes: [&[(&str, Value)]; 4] = [
        &[],
        &[("qk_norm", json!(false)), ("cond_tokens", json!(0)), ("classes", json!(5))],
        &[("cond2_tokens", json!(3)), ("cond2_dim", json!(2)), ("classes", json!(2))],
        &[("cond_tokens", json!(0))],
    ];
    changes.map(|changes| random(&config(changes).unwrap(), 9, &Device::flex()).unwrap()).into()
}

fn features(rows: usize, positions: usize, channels: usize) -> Tensor<3> {
    let values = (0..rows * positions * channels).map(|at| (at as f32 * 0.7).sin()).collect::<Vec<f32>>();
    Tensor::from_data(TensorData::new(values, [rows, positions, channels]), &Device::flex())
}

/// Two samples of the sort that the generator takes.
fn condition(generator: &ScaleGenerator) -> Condition {
    let ar = &generator.config().ar;
    match (ar.cond_tokens, ar.cond2_tokens, ar.classes) {
        (0, _, Some(_)) => Condition::Classes(vec![1, 4]),
        (0, _, None) => Condition::Unconditional(2),
        (_, 0, _) => Condition::ImageFeatures(features(2, 4, 6)),
        _ => Condition::ImageAndTextFeatures { image: features(2, 4, 6), text: features(2, 3, 2), kept: None },
    }
}

fn ids(rows: usize) -> Tensor<2, Int> {
    let ids = (0..rows * TOKENS).map(|at| i32::try_from(at * 7 % 11).unwrap()).collect::<Vec<i32>>();
    Tensor::from_data(TensorData::new(ids, [rows, TOKENS]), &Device::flex())
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_cached_pass_is_the_whole_one() {
    for generator in generators() {
        let network = generator.network();
        let prompt = generator.prompt(&condition(&generator)).unwrap();
        let whole = network.teach(ids(2), &prompt, &mut Trace::none());
        let mut state = network.begin(&prompt);
        let mut last = None;
        for (scale, range) in network.quantizer().ranges().into_iter().enumerate() {
            let logits = network.advance(&mut state, scale, last);
            let expected = whole.clone().narrow(1, range.start, range.len());
            assert!(apart(&floats(logits), &floats(expected)) < 1e-5, "scale {scale} of {:?}", generator.config().ar);
            last = Some(ids(2).narrow(1, range.start, range.len()));
        }
    }
}

#[test]
fn what_is_generated_greedily_is_what_teaching_predicts() {
    for generator in generators() {
        let mut options = GenerateOptions::default();
        (options.guidance_scale, options.sampling) = (Some(1.0), Sampling::GREEDY);
        let condition = condition(&generator);
        let tokens = generator.generate(&condition, &options, &mut |_| ControlFlow::Continue(())).unwrap();
        let tokens = tokens.into_tokens().unwrap();
        let found: Vec<i32> = tokens.ids().iter().map(|&id| i32::try_from(id).unwrap()).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(found.clone(), [2, TOKENS]), &Device::flex());
        let prompt = generator.prompt(&condition).unwrap();
        let logits = generator.network().teach(ids, &prompt, &mut Trace::none());
        let best: Vec<i32> = logits.argmax(2).into_data().iter().collect();
        assert_eq!(best, found);
    }
}

#[test]
fn a_scale_is_told_of_coarser_scales_and_nothing_else() {
    for generator in generators() {
        let network = generator.network();
        let prompt = generator.prompt(&condition(&generator)).unwrap();
        let before = network.teach(ids(2), &prompt, &mut Trace::none());
        for range in network.quantizer().ranges() {
            // Other ids in this scale.
            let parts = ids(2);
            let changed = parts.clone().narrow(1, range.start, range.len());
            let changed = (changed + 3).remainder_scalar(11);
            let changed = parts.slice_assign([0..2, range.clone()], changed);
            let after = network.teach(changed, &prompt, &mut Trace::none());
            let part = |logits: &Tensor<3>, from: usize, to: usize| floats(logits.clone().narrow(1, from, to - from));
            let (seen, unseen) = (range.end, TOKENS);
            assert!(apart(&part(&before, 0, seen), &part(&after, 0, seen)) < 1e-6, "{range:?} was seen too early");
            if seen < unseen {
                assert!(
                    apart(&part(&before, seen, unseen), &part(&after, seen, unseen)) > 1e-4,
                    "{range:?} was not seen"
                );
            }
        }
    }
}

#[test]
fn the_condition_matters_and_is_not_moved_by_tokens() {
    let generator = generators().remove(0);
    let network = generator.network();
    let prompt = generator.prompt(&Condition::ImageFeatures(features(2, 4, 6))).unwrap();
    let none = generator.prompt(&Condition::Unconditional(2)).unwrap();
    assert!(none.is_empty() && !prompt.is_empty());
    let [with, without] = [&prompt, &none].map(|prompt| floats(network.teach(ids(2), prompt, &mut Trace::none())));
    assert!(apart(&with, &without) > 1e-3);
    // Rows without a condition, behind the others, are the unconditional ones.
    let both = prompt.with_unconditional();
    let four = Tensor::cat(vec![ids(2), ids(2)], 0);
    let all = floats(network.teach(four, &both, &mut Trace::none()));
    let (front, back) = all.split_at(with.len());
    assert!(apart(front, &with) < 1e-5 && apart(back, &without) < 1e-5);
    // Features in place of nothing are what the vector of nothing stands for.
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    assert!(drop_conditions(&prompt, 1.0, &mut rng).is_empty());
    let kept = drop_conditions(&prompt, 0.0, &mut rng);
    assert!(apart(&floats(network.teach(ids(2), &kept, &mut Trace::none())), &with) < 1e-6);
}

#[test]
fn conditions_that_do_not_fit_are_refused() {
    let all = generators();
    let prompt = |at: usize, condition: Condition| all[at].prompt(&condition);
    let unfit = |result: Result<ScalePrompt, GeneratorError>| {
        let error = result.map(drop).unwrap_err();
        assert!(matches!(error, GeneratorError::UnfitCondition { .. }), "{error}");
        error.to_string()
    };
    assert!(unfit(prompt(0, Condition::Classes(vec![0]))).contains("image features [samples, 4, 6]"));
    unfit(prompt(0, Condition::ImageFeatures(features(1, 5, 6))));
    unfit(prompt(0, Condition::TextFeatures { features: features(1, 4, 6), kept: None }));
    unfit(prompt(0, Condition::Captions(vec!["a chair".to_owned()])));
    unfit(prompt(1, Condition::ImageFeatures(features(1, 4, 6))));
    unfit(prompt(3, Condition::Classes(vec![0])));
    let [image, text] = [features(2, 4, 6), features(1, 3, 2)];
    unfit(prompt(2, Condition::ImageAndTextFeatures { image, text, kept: None }));
    assert!(matches!(
        prompt(1, Condition::Classes(vec![5])).map(drop),
        Err(GeneratorError::UnknownClass { class: 5, classes: 5 })
    ));
    // Of several sorts one is enough, and text may be padded.
    let kept = Some(vec![true, true, false]);
    let text = prompt(2, Condition::TextFeatures { features: features(1, 3, 2), kept }).unwrap();
    let [PromptPart::Classes(classes), PromptPart::Features { kept: image, .. }, PromptPart::Features { kept, .. }] =
        text.parts()
    else {
        panic!("{text:?}")
    };
    assert_eq!(
        (classes.as_slice(), image.contains(&true), kept.as_slice()),
        (&[None][..], false, &[true, true, false][..])
    );
}

#[test]
fn scales_come_one_by_one_and_given_tokens_stay() {
    let generator = generators().remove(0);
    let condition = Condition::ImageFeatures(features(2, 4, 6));
    let mut options = GenerateOptions::default();
    options.seed = 5;
    let mut known = Vec::new();
    let mut watch = |step: &tessera_generators::Step<'_>| {
        known.push((step.index, step.of, step.ids().unwrap().iter().flatten().count()));
        ControlFlow::Continue(())
    };
    let tokens = generator.generate(&condition, &options, &mut watch).unwrap().into_tokens().unwrap();
    assert_eq!(known, [(0, 4, 2), (1, 4, 6), (2, 4, 16), (3, 4, 32)]);
    assert_eq!(tokens.layout(), &TokenLayout::Scales { counts: vec![1, 2, 5, 8] });
    let go = &mut |_: &tessera_generators::Step<'_>| ControlFlow::Continue(());
    let again = generator.generate(&condition, &options, go).unwrap().into_tokens().unwrap();
    assert_eq!(again, tokens);

    options.keep = Some(8);
    let coarse = generator.generate(&condition, &options, go).unwrap().into_tokens().unwrap();
    assert_eq!(coarse, tokens.clone().prefix(8).unwrap());
    options.keep = Some(7);
    let error = generator.generate(&condition, &options, go).unwrap_err();
    assert!(error.to_string().contains("[1, 3, 8, 16]"), "{error}");

    options.keep = None;
    options.seed = 6;
    let stays = (0..16).map(|at| at % 3 == 0).collect::<Vec<bool>>();
    let given = tokens.items(1, 1).unwrap().with_kept(stays.clone()).unwrap();
    options.given = Some(Given::Tokens(given.clone()));
    let completed = generator.generate(&condition, &options, go).unwrap().into_tokens().unwrap();
    for (at, id) in completed.ids().iter().enumerate() {
        assert!(!stays[at % 16] || *id == given.ids()[at % 16], "{at}");
    }
    let other = Tokens::new(vec![0; 3], 1, TokenLayout::Ordered { len: 3 }, vec![11], Fingerprint::default()).unwrap();
    options.given = Some(Given::Tokens(other));
    assert!(matches!(generator.generate(&condition, &options, go), Err(GeneratorError::Unfit(_))));

    options.given = None;
    let mut stop = |step: &tessera_generators::Step<'_>| match step.index {
        1 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    assert!(matches!(generator.generate(&condition, &options, &mut stop), Err(GeneratorError::Stopped(1))));
    options.guidance_scale = Some(f32::NAN);
    assert!(matches!(generator.generate(&condition, &options, go), Err(GeneratorError::InvalidOption { .. })));
}

#[test]
fn guidance_grows_with_the_scale() {
    let generator = generators().remove(0);
    let prompt = generator.prompt(&Condition::ImageFeatures(features(1, 4, 6))).unwrap();
    let scales = |cfg: f32| {
        let mut seen = Vec::new();
        let choose = &mut |conditional: Tensor<2>, unconditional: Option<Tensor<2>>, scale: f32, _: usize| {
            seen.push(unconditional.map(|_| scale));
            conditional.argmax(1).flatten(0, 1)
        };
        generator.decode(&prompt, cfg, choose).unwrap();
        seen
    };
    assert_eq!(scales(1.5), [1.0, 1.5, 2.0, 2.5].map(Some));
    assert_eq!(scales(0.0), [None; 4]);
    // An interval switches it off, and another schedule has it constant.
    let mut options = GenerateOptions::default();
    (options.guidance_schedule, options.guidance_interval) = (Some(GuidanceSchedule::Constant), Some(1));
    let go = &mut |_: &tessera_generators::Step<'_>| ControlFlow::Continue(());
    assert!(generator.generate(&Condition::ImageFeatures(features(1, 4, 6)), &options, go).is_ok());
}

#[test]
fn losses_are_means_of_their_scales() {
    let generator = generators().remove(0);
    let prompt = generator.prompt(&Condition::Unconditional(2)).unwrap();
    let losses = taught(generator.network(), ids(2), &prompt, 0.0, &mut Trace::none());
    let by_scale = floats(losses.by_scale);
    let mean: f32 = by_scale.iter().zip([1.0, 2.0, 5.0, 8.0]).map(|(loss, count)| loss * count / 16.0).sum();
    assert!((floats(losses.loss)[0] - mean).abs() < 1e-5 && by_scale.len() == 4);
    assert!(floats(losses.z_loss)[0] > 0.0);
}

#[test]
fn a_saved_generator_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    for generator in generators() {
        save(generator.network(), generator.specs(), &folder.path().join("model.safetensors")).unwrap();
        let described = generator.config().to_value();
        assert!(GeneratorConfig::describes(&described));
        std::fs::write(folder.path().join("config.json"), described.to_string()).unwrap();
        let again = from_pretrained(&folder.path().to_string_lossy(), &Device::flex()).unwrap();
        assert_eq!(again.info(), generator.info());
        let go = &mut |_: &tessera_generators::Step<'_>| ControlFlow::Continue(());
        let condition = condition(&generator);
        let options = GenerateOptions::default();
        let [a, b] = [&*again as &dyn tessera_generators::Generator, &generator]
            .map(|generator| generator.generate(&condition, &options, go).unwrap().into_tokens().unwrap());
        assert_eq!(a, b);
    }
}

#[test]
fn configurations_that_do_not_fit_are_refused_by_key() {
    for (key, value) in [
        ("dim", json!(0)),
        ("heads", json!(7)),
        ("cond_dim", json!(0)),
        ("classes", json!(0)),
        ("cond_drop", json!(1.5)),
        ("cfg", json!(-1.0)),
        ("top_p", json!(0.0)),
        ("tokenizer", json!("00")),
    ] {
        let error = config(&[(key, value)]).unwrap_err().to_string();
        assert!(error.contains(key), "{key}: {error}");
    }
    let two = config(&[("cond2_tokens", json!(1)), ("cond2_dim", json!(1)), ("cond2_kind", json!("image"))]);
    assert!(two.unwrap_err().to_string().contains("cond2_kind"));
    let mut document = document();
    document["quantizer"]["scales"] = json!([1, 2]);
    assert!(NextScaleConfig::from_value(&document).unwrap_err().to_string().contains("quantizer.scales"));
}

#[test]
fn presets_have_about_the_parameters_of_the_scaling_curve() {
    for (name, millions) in [
        ("vat-ar-xs", 6.8),
        ("vat-ar-s", 26.2),
        ("vat-ar-m", 60.0),
        ("vat-ar-l", 115.0),
        ("vat-ar-xl", 475.0),
        ("vat-ar-xxl", 1513.0),
    ] {
        let specs = GeneratorConfig::preset(name).unwrap().listing().unwrap();
        let own = specs.iter().filter(|spec| spec.name.starts_with("ar."));
        let count: usize = own.map(|spec| spec.shape.iter().product::<usize>()).sum();
        let found = count as f64 / 1e6;
        assert!((found / millions - 1.0).abs() < 0.02, "{name}: {found} million");
    }
    assert!(next_scale::preset("vat-ar").is_none());
}
