//! Next-token generators and NAR beyond their recorded cases.

use std::ops::ControlFlow;

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::{Value, json};
use tessera_generators::decoder::{Decoder, DecoderConfig, DecoderGenerator, Prompt, load, random, taught};
use tessera_generators::{Condition, GenerateOptions, Generator as _, GeneratorError, Given, Sampling};
use tessera_layers::checkpoint::Weights;
use tessera_layers::{Init, ParamSource, Trace};
use tessera_tokenizers::{Fingerprint, TokenLayout, Tokens};

const CODES: usize = 23;

/// A tiny model; `change` puts keys into its configuration.
fn generator(change: Value) -> DecoderGenerator {
    let config = config(change).unwrap();
    // A head that starts from zeros would make all codes alike.
    let lively = |_: &str, _: &[usize], init| if init == Init::Zeros { Init::Normal(0.3) } else { init };
    let device = Device::flex();
    let source = ParamSource::seeded_with(3, &device, &lively);
    DecoderGenerator::new(Decoder::new(&source.root(), &config).unwrap(), &config).unwrap()
}

fn config(change: Value) -> Result<DecoderConfig, tessera_tokenizers::ConfigError> {
    let mut document = json!({
        "dim": 24, "n_layer": 2, "n_head": 3, "multiple_of": 8, "model_type": "c2i", "num_classes": 5, "vocab_size": CODES,
        "block_size": 12, "layout": {"grid": [3, 4]}, "initializer_range": 0.3,
    });
    for (key, value) in change.as_object().unwrap() {
        document[key] = value.clone();
    }
    DecoderConfig::from_value(&document)
}

/// Next-token and NAR, on a grid that is no square, on a line and over scales, with shared keys, and with captions.
fn variants() -> Vec<Value> {
    vec![
        json!({}),
        json!({"layout": {"ordered": 12}, "n_kv_head": 1}),
        json!({"medusa_attention_num": 1}),
        json!({"medusa_attention_num": 2, "layout": {"ordered": 12}}),
        json!({"medusa_attention_num": 1, "layout": {"grid": [6, 2]}, "n_kv_head": 1}),
        json!({"layout": {"scales": [1, 2, 3, 6]}}),
        json!({"medusa_attention_num": 1, "layout": {"scales": [1, 2, 3, 6]}}),
        json!({"model_type": "t2i", "cls_token_num": 3, "caption_dim": 6, "words": ["a", "b", "style=c"]}),
        json!({"medusa_attention_num": 1, "model_type": "t2i", "cls_token_num": 3, "caption_dim": 6, "words": ["a", "b", "style=c"]}),
    ]
}

fn go_on(_: &tessera_generators::Step<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn generate(
    generator: &DecoderGenerator,
    condition: &Condition,
    change: impl Fn(&mut GenerateOptions),
) -> Result<Tokens, GeneratorError> {
    let mut options = GenerateOptions::default();
    change(&mut options);
    generator.generate(condition, &options, &mut go_on).map(|made| made.into_tokens().unwrap())
}

fn two(generator: &DecoderGenerator) -> Condition {
    match &generator.info().words {
        Some(_) => Condition::Captions(vec!["b a".to_owned(), "style=c".to_owned()]),
        None => Condition::Classes(vec![4, 1]),
    }
}

#[test]
fn decoding_with_a_cache_gives_the_logits_of_one_pass() {
    for variant in variants() {
        let generator = generator(variant.clone());
        let network = generator.network();
        let prompt = match generator.info().words {
            Some(_) => Prompt::Words(vec![vec![1, 0], vec![2]]),
            None => Prompt::Classes(vec![Some(3), None]),
        };
        let greedy = network.greedy(&prompt, 1.0, None).unwrap();
        let states = network.teach(greedy.ids, &prompt, &mut Trace::none());
        let difference = (network.logits(&states, 0..12) - greedy.logits).abs().max();
        let largest: f32 = difference.into_data().iter().next().unwrap();
        assert!(largest < 1e-4, "{variant}: {largest}");
    }
}

#[test]
fn a_diagonal_or_a_token_a_step() {
    for (variant, steps) in variants().into_iter().zip([12, 12, 6, 12, 7, 12, 9, 12, 6]) {
        let generator = generator(variant.clone());
        let mut seen = Vec::new();
        let options = GenerateOptions::default();
        let made = generator.generate(&two(&generator), &options, &mut |step| {
            seen.push(step.ids().unwrap().iter().flatten().count());
            assert_eq!(step.of, steps);
            ControlFlow::Continue(())
        });
        let tokens = made.unwrap().into_tokens().unwrap();
        assert_eq!((tokens.batch(), tokens.positions(), seen.len()), (2, 12, steps), "{variant}");
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]) && seen.last() == Some(&24), "{variant}: {seen:?}");
    }
}

#[test]
fn samples_follow_the_seed_and_kept_tokens_stay() {
    for variant in variants() {
        let generator = generator(variant.clone());
        let condition = two(&generator);
        let drawn = |seed| generate(&generator, &condition, |options| options.seed = seed).unwrap();
        assert_eq!(drawn(1), drawn(1), "{variant}");
        assert_ne!(drawn(1), drawn(2), "{variant}");
        let ids: Vec<u32> = (0..12).map(|at| (at * 7) % CODES as u32).collect();
        let kept: Vec<bool> = (0..12).map(|at| at % 3 != 1).collect();
        let layout = generator.info().layout.clone();
        let given = Tokens::new(ids.clone(), 1, layout, vec![CODES as u32], Fingerprint::default()).unwrap();
        let given = given.with_kept(kept.clone()).unwrap();
        let completed =
            generate(&generator, &condition, |options| options.given = Some(Given::Tokens(given.clone()))).unwrap();
        for (at, id) in completed.ids().iter().enumerate() {
            assert!(!kept[at % 12] || *id == ids[at % 12], "{variant}: position {at}");
        }
    }
}

#[test]
fn guidance_changes_what_is_drawn_until_its_interval_ends() {
    for variant in [json!({}), json!({"medusa_attention_num": 1})] {
        let generator = generator(variant);
        let prompt = Prompt::Classes(vec![Some(2); 3]);
        let logits = |scale, interval| {
            let greedy = generator.network().greedy(&prompt, scale, interval).unwrap();
            greedy.logits.into_data().iter().collect::<Vec<f32>>()
        };
        let (none, half, full) = (logits(1.0, None), logits(3.0, Some(3)), logits(3.0, None));
        assert_eq!(half[..CODES], full[..CODES], "the first token is guided by both");
        assert!(half != full && half != none);
        assert_eq!(logits(0.5, None), none, "up to 1 there is no guidance");
    }
}

#[test]
fn a_line_ends_where_asked() {
    let generator = generator(json!({"layout": {"ordered": 12}}));
    let whole = generate(&generator, &Condition::Unconditional(2), |_| {}).unwrap();
    let short = generate(&generator, &Condition::Unconditional(2), |options| options.keep = Some(5)).unwrap();
    assert_eq!(short.prefix_lengths(), Some(vec![5, 5]));
    assert_eq!(short.ids()[..5], whole.ids()[..5]);
    assert_eq!(generator.info().layout, TokenLayout::Ordered { len: 12 });

    let generator = self::generator(json!({"layout": {"scales": [1, 2, 3, 6]}}));
    let short = generate(&generator, &Condition::Unconditional(1), |options| options.keep = Some(5)).unwrap();
    assert_eq!((short.prefix_lengths(), short.positions()), (Some(vec![5]), 12));
    let generator = self::generator(json!({"layout": {"scales": [1, 2, 3, 6]}, "medusa_attention_num": 1}));
    let wrong = generate(&generator, &Condition::Unconditional(1), |options| options.keep = Some(5));
    assert!(matches!(wrong, Err(GeneratorError::InvalidOption { option: "tokens", .. })), "diagonals have no prefix");
}

#[test]
fn losses_are_those_of_the_logits() {
    let generator = generator(json!({"medusa_attention_num": 1}));
    let network = generator.network();
    let ids: Vec<i32> = (0..24).map(|at| at * 5 % CODES as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [2, 12]), &Device::flex());
    let prompt = Prompt::Classes(vec![Some(0), None]);
    let plain = taught(network, ids.clone(), ids.clone(), &prompt, 0.0);
    let states = network.teach(ids.clone(), &prompt, &mut Trace::none());
    let mean = tessera_layers::cross_entropy(network.logits(&states, 0..12), network.in_order(ids.clone()));
    let number = |tensor: Tensor<1>| tensor.into_data().iter::<f32>().next().unwrap();
    assert!((number(plain.cross_entropy.clone().mean()) - number(mean)).abs() < 1e-5);
    assert_eq!(plain.cross_entropy.dims(), [12]);
    let smoothed = number(taught(network, ids.clone(), ids, &prompt, 1.0).cross_entropy.mean());
    assert!(smoothed > (CODES as f32).ln(), "spread over all codes it is at least that of the best guess");
}

#[test]
fn what_does_not_fit_is_refused() {
    let generator = generator(json!({}));
    let one = Condition::Unconditional(1);
    let wrong = generate(&generator, &Condition::Classes(vec![0, 5]), |_| {});
    assert!(matches!(wrong, Err(GeneratorError::UnknownClass { class: 5, classes: 5 })));
    let wrong = generate(&generator, &Condition::Captions(vec!["a".to_owned()]), |_| {});
    assert!(matches!(wrong, Err(GeneratorError::UnfitCondition { .. })));
    let wrong = generate(&generator, &Condition::Unconditional(0), |_| {});
    assert!(matches!(wrong, Err(GeneratorError::InvalidOption { option: "count", .. })));
    let wrong = generate(&generator, &one, |options| options.keep = Some(3));
    assert!(matches!(wrong, Err(GeneratorError::InvalidOption { option: "tokens", .. })), "a grid has no prefix");
    for (option, sampling) in [
        ("temperature", Sampling { temperature: Some(-1.0), ..Sampling::default() }),
        ("top-k", Sampling { top_k: Some(0), ..Sampling::default() }),
        ("top-p", Sampling { top_p: Some(1.5), ..Sampling::default() }),
    ] {
        let wrong = generate(&generator, &one, |options| options.sampling = sampling);
        assert!(matches!(wrong, Err(GeneratorError::InvalidOption { option: found, .. }) if found == option));
    }
    let layout = TokenLayout::Ordered { len: 12 };
    let other = Tokens::new(vec![0; 12], 1, layout, vec![CODES as u32], Fingerprint::default()).unwrap();
    let wrong = generate(&generator, &one, |options| options.given = Some(Given::Tokens(other.clone())));
    assert!(matches!(wrong, Err(GeneratorError::Unfit(_))));
    let captions = self::generator(variants().pop().unwrap());
    let ask = |caption: &str| generate(&captions, &Condition::Captions(vec![caption.to_owned()]), |_| {});
    assert!(matches!(ask("a x"), Err(GeneratorError::UnknownWord { .. })));
    assert!(matches!(ask(" "), Err(GeneratorError::CaptionLength { words: 0, most: 3 })));
    assert!(matches!(ask("a a a a"), Err(GeneratorError::CaptionLength { words: 4, most: 3 })));
}

#[test]
fn configurations_that_do_not_fit_together_name_the_key() {
    for (key, change) in [
        ("n_head", json!({"n_head": 5})),
        ("n_kv_head", json!({"n_kv_head": 2})),
        ("layout", json!({"layout": {"grid": [3, 5]}})),
        ("block_size", json!({"layout": null})),
        ("layout", json!({"layout": {"scales": [1, 2, 3]}})),
        ("layout.scales", json!({"layout": {"scales": [12, 0]}})),
        ("layout.scales", json!({"layout": {"scales": [8, 4]}, "medusa_attention_num": 1})),
        ("layout.scales", json!({"layout": {"scales": vec![1; 33]}, "block_size": 33})),
        ("cls_token_num", json!({"cls_token_num": 2})),
        ("model_type", json!({"words": ["a"]})),
        ("vocab_size", json!({"vocab_size": 0})),
        ("tokenizer", json!({"tokenizer": "abc"})),
        ("words", json!({"model_type": "t2i", "words": ["a", "a"]})),
        ("sampling", json!({"sampling": {"top_k": 0}})),
    ] {
        let error = config(change.clone()).unwrap_err().to_string();
        assert!(error.contains(key), "{change}: {error}");
    }
}

#[test]
fn a_checkpoint_of_the_other_kind_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let plain = config(json!({})).unwrap();
    let source = ParamSource::seeded(1, &Device::flex());
    let network = Decoder::new(&source.root(), &plain).unwrap();
    tessera_layers::checkpoint::save_module(&network, &source.into_taken(), &path, Default::default()).unwrap();
    let weights = Weights::open(&path).unwrap();
    assert!(load(&plain, &weights, &Device::flex()).is_ok());
    let nar = config(json!({"medusa_attention_num": 1})).unwrap();
    let error = load(&nar, &weights, &Device::flex()).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("medusa_output"), "{error}");
}

#[test]
fn a_model_that_starts_from_a_seed_knows_nothing() {
    let generator = random(&config(json!({})).unwrap(), 1, &Device::flex()).unwrap();
    let ids = Tensor::<2, Int>::zeros([1, 12], &Device::flex());
    let loss = taught(generator.network(), ids.clone(), ids, &Prompt::Classes(vec![None]), 0.0).cross_entropy.mean();
    let loss: f32 = loss.into_data().iter().next().unwrap();
    assert!((loss - (CODES as f32).ln()).abs() < 1e-4, "{loss}");
}
