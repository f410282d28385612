//! FlexTok's autoregressive generator beyond its recorded case.

use std::ops::ControlFlow;

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::json;
use tessera_generators::flextok_ar::{FlexTokAr, FlexTokArConfig, GuidanceForm, random};
use tessera_generators::{Condition, GenerateOptions, Generator as _, GeneratorError};
use tessera_layers::Trace;
use tessera_tokenizers::flextok::{FlexTokConfig, LatentConfig};
use tessera_tokenizers::patch_dct::PatchDctConfig;
use tessera_tokenizers::{DecodeOptions, ModelConfig, Tokens};

const CODES: usize = 24;
const TOKENS: usize = 7;

fn generator() -> FlexTokAr {
    let config = FlexTokArConfig::from_value(&json!({
        "codebook_size": CODES, "num_tokens": TOKENS, "embed_dim": 24, "num_blocks": 2, "num_heads": 3, "num_classes": 5,
        "ffn_hidden": 40, "post_trunk_norm": true,
    }))
    .unwrap();
    random(&config, 4, &Device::flex()).unwrap()
}

fn go_on(_: &tessera_generators::Step<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn generate(condition: &Condition, change: impl Fn(&mut GenerateOptions)) -> Result<Tokens, GeneratorError> {
    let mut options = GenerateOptions::default();
    change(&mut options);
    generator().generate(condition, &options, &mut go_on).map(|made| made.into_tokens().unwrap())
}

#[test]
fn decoding_with_a_cache_gives_the_logits_of_one_pass() {
    let generator = generator();
    let labels = [Some(3), None];
    let greedy = generator.greedy(&labels, TOKENS, None, GuidanceForm::Intended).unwrap();
    let ids: Vec<i32> = greedy.ids.iter().map(|&id| i32::try_from(id).unwrap()).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [2, TOKENS]), &Device::flex());
    let whole = generator.network().teach(ids, &labels, &mut Trace::none()).swap_dims(0, 1);
    let largest = (whole - greedy.logits).abs().max().into_data().iter::<f32>().next().unwrap();
    assert!(largest < 1e-5, "{largest}");
}

#[test]
fn samples_follow_the_seed_and_end_where_asked() {
    let classes = Condition::Classes(vec![0, 4, 4]);
    let first = generate(&classes, |options| options.seed = 1).unwrap();
    assert_eq!((first.batch(), first.positions(), first.vocab()), (3, TOKENS, [CODES as u32].as_slice()));
    assert_eq!(first, generate(&classes, |options| options.seed = 1).unwrap());
    assert_ne!(first, generate(&classes, |options| options.seed = 2).unwrap());
    let short = generate(&classes, |options| (options.seed, options.keep) = (1, Some(3))).unwrap();
    assert_eq!(short.prefix_lengths(), Some(vec![3, 3, 3]));
    for row in 0..3 {
        assert_eq!(short.ids()[row * TOKENS..][..3], first.ids()[row * TOKENS..][..3], "the same first tokens");
    }
    let greedy =
        |seed| generate(&classes, |options| (options.seed, options.sampling.temperature) = (seed, Some(0.0))).unwrap();
    assert_eq!(greedy(1), greedy(2), "a temperature of zero leaves nothing to chance");
}

#[test]
fn what_does_not_fit_is_refused() {
    let one = Condition::Unconditional(1);
    let wrong = generate(&Condition::Classes(vec![5]), |_| {});
    assert!(matches!(wrong, Err(GeneratorError::UnknownClass { class: 5, classes: 5 })));
    for keep in [0, TOKENS + 1] {
        let wrong = generate(&one, |options| options.keep = Some(keep));
        assert!(matches!(wrong, Err(GeneratorError::InvalidOption { option: "keep", .. })), "{keep}");
    }
    for temperature in [-1.0, f32::NAN, f32::INFINITY] {
        let wrong = generate(&one, |options| options.sampling.temperature = Some(temperature));
        assert!(matches!(wrong, Err(GeneratorError::InvalidOption { option: "temperature", .. })), "{temperature}");
    }
    let mut steps = 0;
    let stopped = generator().generate(&one, &GenerateOptions::default(), &mut |step| {
        steps = step.index + 1;
        if steps == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(stopped, Err(GeneratorError::Stopped(1))) && steps == 2);
    for (key, value) in
        [("qk_norm", json!(true)), ("ffn", json!("mlp")), ("num_heads", json!(5)), ("num_tokens", json!(0))]
    {
        let mut document = serde_json::to_value(generator().config()).unwrap();
        document[key] = value;
        let error = FlexTokArConfig::from_value(&document).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn a_flextok_decodes_what_was_generated() {
    let mut config = FlexTokConfig::preset("flextok-d12-d12").unwrap();
    for trunk in [&mut config.encoder, &mut config.decoder] {
        (trunk.dim, trunk.depth, trunk.max_sizes) = (64, 1, [1, 1]);
    }
    let dct = PatchDctConfig::new(8, 12, 2);
    config.vae.architecture = LatentConfig::PatchDct(dct);
    (config.registers, config.levels) = (TOKENS, vec![4, 3, 2]);
    let tokenizer = ModelConfig::FlexTok(config).random(0, &Device::flex()).unwrap();
    let tokens = generate(&Condition::Classes(vec![2]), |options| options.keep = Some(4)).unwrap();
    let mut options = DecodeOptions::default();
    options.flow.steps = Some(1);
    let picture = tokenizer.decode(&tokens, &options).unwrap().into_images().unwrap();
    assert_eq!(picture.dims(), [1, 3, 16, 16]);
}
