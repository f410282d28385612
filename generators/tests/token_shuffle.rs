//! Token-Shuffle beyond its recorded case.

use std::ops::ControlFlow;

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::{Value, json};
use tessera_generators::token_shuffle::{TokenShuffle, TokenShuffleConfig, random, teach};
use tessera_generators::{Condition, GenerateOptions, Generator as _, GeneratorError, Given, GuidanceSchedule};
use tessera_layers::Trace;
use tessera_tokenizers::{ConfigError, Fingerprint, Tokens};

const CODES: usize = 13;
const FIRST: usize = 9;

fn config(change: Value) -> Result<TokenShuffleConfig, ConfigError> {
    let mut document = json!({
        "text_vocab": FIRST, "image_vocab": CODES, "dim": 36, "n_layers": 2, "n_heads": 3, "n_kv_heads": 1, "ffn_hidden": 20,
        "window": 2, "n_mlp_blocks": 1, "mlp_ratio": 2, "grid": [4, 6], "bos_id": 0, "boi_id": 1, "eoi_id": 2,
        "first_text_id": 3, "text_loss_weight": 1.0, "z_loss_weight": 0.0, "cfg_scale": 2.0,
    });
    for (key, value) in change.as_object().unwrap() {
        document[key] = value.clone();
    }
    TokenShuffleConfig::from_value(&document)
}

fn generator(change: Value) -> TokenShuffle {
    random(&config(change).unwrap(), 2, &Device::flex()).unwrap()
}

fn variants() -> Vec<Value> {
    vec![
        json!({}),
        json!({"window": 1}),
        json!({"window": 3, "grid": [3, 6]}),
        json!({"window": 3, "grid": null, "ordered": 12, "n_kv_heads": 3}),
        json!({"words": ["a", "b"], "caption_len": 3, "n_mlp_blocks": 0}),
    ]
}

#[test]
fn decoding_with_a_cache_gives_the_logits_of_one_pass() {
    for variant in variants() {
        let generator = generator(variant.clone());
        // The second caption is shorter: what fills it up must change nothing.
        let texts = [vec![3, 4, 5], vec![6]];
        let greedy = generator.greedy(&texts, 1.0, GuidanceSchedule::Constant).unwrap();
        for (row, text) in texts.iter().enumerate() {
            let ids: Vec<i32> = text.iter().map(|&id| i32::try_from(id).unwrap()).collect();
            let words = ids.len();
            let text = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, words]), &Device::flex());
            let codes = greedy.ids.clone().narrow(0, row, 1);
            let (config, windows) = (generator.config(), generator.windows());
            let taught = teach(generator.network(), config, windows, text, codes, &mut Trace::none());
            let whole = taught.image.narrow(2, FIRST.max(config.text_vocab), CODES);
            let difference = (whole - greedy.logits.clone().narrow(0, row, 1)).abs().max();
            let largest: f32 = difference.into_data().iter().next().unwrap();
            assert!(largest < 1e-4, "{variant}, row {row}: {largest}");
        }
    }
}

#[test]
fn a_window_a_step_and_kept_tokens_stay() {
    for (variant, steps) in variants().into_iter().zip([6, 24, 2, 4, 6]) {
        let generator = generator(variant.clone());
        let positions = generator.info().layout.positions();
        let ids: Vec<u32> = (0..positions).map(|at| (at * 5 % CODES) as u32).collect();
        let kept: Vec<bool> = (0..positions).map(|at| at % 4 == 2).collect();
        let given =
            Tokens::new(ids.clone(), 1, generator.info().layout.clone(), vec![CODES as u32], Fingerprint::default());
        let mut options = GenerateOptions::default();
        options.given = Some(Given::Tokens(given.unwrap().with_kept(kept.clone()).unwrap()));
        let mut seen = 0;
        let made = generator.generate(&Condition::Unconditional(2), &options, &mut |step| {
            seen = step.ids().unwrap().iter().flatten().count();
            assert_eq!(step.of, steps, "{variant}");
            ControlFlow::Continue(())
        });
        let tokens = made.unwrap().into_tokens().unwrap();
        assert_eq!(seen, 2 * positions);
        for (at, id) in tokens.ids().iter().enumerate() {
            assert!(!kept[at % positions] || *id == ids[at % positions], "{variant}: position {at}");
        }
    }
}

#[test]
fn captions_guide_and_seeds_vary() {
    let generator = generator(variants().pop().unwrap());
    let made = |caption: &str, seed: u64, scale: f32| {
        let mut options = GenerateOptions::default();
        (options.seed, options.guidance_scale) = (seed, Some(scale));
        let condition = Condition::Captions(vec![caption.to_owned()]);
        generator.generate(&condition, &options, &mut |_| ControlFlow::Continue(())).unwrap().into_tokens().unwrap()
    };
    assert_eq!(made("a b", 1, 1.0), made("a b", 1, 1.0));
    assert_ne!(made("a b", 1, 1.0), made("a b", 2, 1.0));
    let unknown = Condition::Captions(vec!["c".to_owned()]);
    let wrong = generator.generate(&unknown, &GenerateOptions::default(), &mut |_| ControlFlow::Continue(()));
    assert!(matches!(wrong, Err(GeneratorError::UnknownWord { .. })));
    let wrong =
        self::generator(json!({})).generate(&unknown, &GenerateOptions::default(), &mut |_| ControlFlow::Continue(()));
    assert!(matches!(wrong, Err(GeneratorError::UnfitCondition { .. })), "it has no words");
}

#[test]
fn configurations_that_do_not_fit_together_name_the_key() {
    for (key, change) in [
        ("grid", json!({"grid": [4, 5]})),
        ("grid", json!({"ordered": 8})),
        ("ordered", json!({"grid": null, "ordered": 7})),
        ("window", json!({"window": 0})),
        ("n_heads", json!({"n_heads": 5})),
        ("bos_id", json!({"bos_id": 9})),
        ("words", json!({"words": ["a", "b", "c", "d", "e", "f", "g"]})),
        ("tokenizer", json!({"tokenizer": "abc"})),
    ] {
        let error = config(change.clone()).unwrap_err().to_string();
        assert!(error.contains(key), "{change}: {error}");
    }
}
