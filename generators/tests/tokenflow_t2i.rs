//! TokenFlow's generator beyond its recorded case.

use std::ops::ControlFlow;

use burn::module::{Module as _, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor};
use serde_json::{Value, json};
use tessera_generators::tokenflow_t2i::{
    T2iPrompt, TokenFlowT2i, TokenFlowT2iConfig, TokenFlowT2iNetwork, load, losses, random,
};
use tessera_generators::{
    Condition, GenerateOptions, Generator as _, GeneratorConfig, GeneratorError, Given, from_pretrained,
};
use tessera_layers::checkpoint::{Weights, save_module};
use tessera_layers::{Init, ParamSource, Trace};
use tessera_tokenizers::tokenflow::{self, TokenFlowConfig};
use tessera_tokenizers::{ConfigError, Fingerprint, TokenLayout, Tokens};

fn tokenizer() -> Value {
    json!({
        "model": "TokenFlow", "teacher": "clipb_224", "image_size": 12, "scales": [1, 2, 3], "codebook_size": 20,
        "codebook_embed_dim": 4, "semantic_code_dim": 6, "z_channels": 8,
        "encoder_ch": 32, "encoder_ch_mult": [1, 1, 1], "encoder_num_res_blocks": 1,
        "decoder_ch": 32, "decoder_ch_mult": [1, 1, 1], "decoder_num_res_blocks": 1, "decoder_out_dim": 8,
        "semantic_encoder": {"kind": "clip_vit", "image_size": 12, "patch_size": 4, "width": 24, "layers": 1, "heads": 3},
        "semantic_decoder": {"width": 24, "layers": 1, "heads": 3, "grid": 3},
    })
}

/// A tiny model's document; `change` puts keys into the language model's section.
fn document(change: &Value) -> Value {
    let mut llm = json!({
        "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 31,
        "image_token_start": 11, "pad_token_id": 10,
    });
    for (key, value) in change.as_object().unwrap() {
        llm[key] = value.clone();
    }
    json!({"tokenizer": tokenizer(), "llm": llm, "sampling": {"cfg": 3.0}})
}

fn config(change: &Value) -> TokenFlowT2iConfig {
    TokenFlowT2iConfig::from_value(&document(change)).unwrap()
}

/// A model whose predictions differ from place to place.
fn model(change: &Value) -> TokenFlowT2i {
    let (config, device) = (config(change), Device::flex());
    let lively = |_: &str, _: &[usize], init| match init {
        Init::Normal(deviation) => Init::Normal(20.0 * deviation),
        other => other,
    };
    let source = ParamSource::seeded_with(7, &device, &lively);
    let network = TokenFlowT2iNetwork::new(&source.root(), &config).unwrap();
    let codes = random(&config, 7, &device).unwrap().codes().clone();
    TokenFlowT2i::new(network, codes, &config).unwrap()
}

fn prompts(negative: Option<Vec<u32>>) -> Condition {
    Condition::TextIds { prompts: vec![vec![1, 4, 9, 2], vec![1, 6]], negative }
}

fn generate(
    model: &TokenFlowT2i,
    condition: &Condition,
    change: impl Fn(&mut GenerateOptions),
) -> Result<Tokens, GeneratorError> {
    let mut options = GenerateOptions::default();
    change(&mut options);
    let made = model.generate(condition, &options, &mut |_| ControlFlow::Continue(()))?;
    Ok(made.into_tokens().unwrap())
}

fn greedy(options: &mut GenerateOptions) {
    options.sampling.temperature = Some(0.0);
}

fn floats<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().iter().collect()
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn decoding_with_a_cache_gives_the_logits_of_one_pass() {
    for change in [json!({}), json!({"num_key_value_heads": 2})] {
        let model = model(&change);
        let prompt = T2iPrompt::of(&prompts(None), model.special_ids(), None).unwrap();
        for steps in [1, 2] {
            let found = model.greedy(&prompt, 3.0, steps).unwrap();
            assert_eq!(found.logits.len(), 1 + 2 * steps);
            let states =
                model.network().teach(&prompt, model.codes(), model.scales(), found.ids.clone(), &mut Trace::none());
            let logits = model.network().code_logits(states.narrow(1, prompt.length() - 1, 14));
            // The first run of each scale reads what one pass over the final codes reads.
            let first = Tensor::cat(
                found
                    .logits
                    .into_iter()
                    .enumerate()
                    .filter(|(run, _)| *run == 0 || (run - 1) % steps == 0)
                    .map(|(_, logits)| logits)
                    .collect(),
                1,
            );
            assert!(furthest(&floats(first), &floats(logits)) < 1e-3, "{change} {steps}");
        }
    }
}

#[test]
fn a_shorter_prompt_is_as_good_alone_as_padded() {
    let model = model(&json!({}));
    let both = generate(&model, &prompts(Some(vec![1, 3, 3])), greedy).unwrap();
    let condition = Condition::TextIds { prompts: vec![vec![1, 6]], negative: Some(vec![1, 3, 3]) };
    let alone = generate(&model, &condition, greedy).unwrap();
    assert_eq!(both.ids()[14..], *alone.ids());
    assert_eq!(*both.layout(), TokenLayout::Scales { counts: vec![1, 4, 9] });
}

#[test]
fn guidance_needs_something_to_lead_away_from() {
    let model = model(&json!({}));
    let with = |negative: Option<Vec<u32>>, scale: Option<f32>| {
        generate(&model, &prompts(negative), |options| {
            greedy(options);
            options.guidance_scale = scale;
        })
        .unwrap()
    };
    let plain = with(None, None);
    assert_eq!(plain, with(None, Some(9.0)));
    assert_eq!(plain, with(Some(vec![5]), Some(1.0)));
    assert_ne!(plain, with(Some(vec![5]), Some(9.0)));
    // The first scale is not guided yet.
    assert_eq!(plain.ids()[0], with(Some(vec![5]), Some(9.0)).ids()[0]);
}

#[test]
fn a_scale_is_sampled_as_often_as_asked() {
    let model = model(&json!({}));
    for (steps, runs) in [(1, 3), (2, 5), (3, 7)] {
        let mut seen = Vec::new();
        let mut options = GenerateOptions::default();
        (options.seed, options.steps) = (3, Some(steps));
        let made = model.generate(&prompts(None), &options, &mut |step| {
            assert_eq!(step.of, runs);
            seen.push(step.ids().unwrap().iter().flatten().count());
            ControlFlow::Continue(())
        });
        let ids = made.unwrap().into_tokens().unwrap();
        assert_eq!((seen.len(), seen.last(), ids.batch()), (runs, Some(&28), 2));
        assert_eq!(seen[..2], [2, 10]);
        let again = generate(&model, &prompts(None), |options| (options.seed, options.steps) = (3, Some(steps)));
        assert_eq!(again.unwrap(), ids);
    }
    let wrong = generate(&model, &prompts(None), |options| options.steps = Some(4));
    assert!(matches!(wrong, Err(GeneratorError::InvalidOption { option: "steps", .. })));
    let stopped = model.generate(&prompts(None), &GenerateOptions::default(), &mut |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(GeneratorError::Stopped(0))));
}

#[test]
fn whole_scales_can_be_made_and_kept() {
    let model = model(&json!({}));
    let whole = generate(&model, &prompts(None), greedy).unwrap();
    let coarse = generate(&model, &prompts(None), |options| {
        greedy(options);
        options.keep = Some(5);
    });
    assert_eq!(coarse.unwrap(), whole.clone().prefix(5).unwrap());
    let wrong = generate(&model, &prompts(None), |options| options.keep = Some(6));
    assert!(matches!(wrong, Err(GeneratorError::InvalidOption { option: "keep", .. })));

    let given = Tokens::new(vec![7; 14], 1, model.info().layout.clone(), vec![20], Fingerprint::default()).unwrap();
    let made = generate(&model, &prompts(None), |options| {
        options.given = Some(Given::Tokens(given.clone().prefix(5).unwrap()));
    });
    let made = made.unwrap();
    assert!(made.ids().chunks(14).all(|row| row[..5] == [7; 5] && row[5..] != [7; 9]));
}

#[test]
fn other_conditions_and_bad_configurations_are_refused() {
    let model = model(&json!({}));
    let wrong = generate(&model, &Condition::Classes(vec![1]), greedy);
    assert!(matches!(wrong, Err(GeneratorError::UnfitCondition { .. })));
    for (key, change) in [
        ("hidden_size", json!({"hidden_size": 0})),
        ("num_attention_heads", json!({"num_attention_heads": 8})),
        ("num_key_value_heads", json!({"num_key_value_heads": 3})),
        ("mm_projector_type", json!({"mm_projector_type": "linear"})),
        ("image_token_start", json!({"image_token_start": 12})),
        ("pad_token_id", json!({"pad_token_id": 11})),
        ("rope_theta", json!({"rope_theta": 0.0})),
        ("llm", json!({"vocab_size": "many"})),
    ] {
        match GeneratorConfig::from_value(&document(&change)) {
            Err(ConfigError::Invalid { key: found, .. }) => assert_eq!(found, key),
            other => panic!("{key}: {other:?}"),
        }
    }
    let mut scales = document(&json!({}));
    scales["tokenizer"]["scales"] = json!([2, 3]);
    assert!(GeneratorConfig::from_value(&scales).unwrap_err().to_string().contains("tokenizer.scales"));
    let written = config(&json!({}));
    assert_eq!(TokenFlowT2iConfig::from_value(&written.to_value()).unwrap(), written);
}

#[test]
fn the_codebooks_are_found_beside_the_generator() {
    let (config, device) = (config(&json!({})), Device::flex());
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let source = ParamSource::seeded(1, &device);
    let network = TokenFlowT2iNetwork::new(&source.root(), &config).unwrap();
    save_module(&network, &source.into_taken(), &at("model.safetensors"), Default::default()).unwrap();
    let weights = Weights::open(&at("model.safetensors")).unwrap();
    let error = load(&config, &weights, &device).err().unwrap();
    assert!(error.to_string().contains("mm_vision_tower"), "{error}");

    let described = TokenFlowConfig::from_value(&tokenizer()).unwrap();
    let (tokenizer, specs) = tokenflow::random(&described, 2, &device).unwrap();
    std::fs::create_dir(at("tower")).unwrap();
    for path in [at("tower/model.safetensors"), at("tokenizer.safetensors")] {
        tokenflow::save(tokenizer.network(), &specs, &path).unwrap();
        let mut document = config.to_value();
        if path.starts_with(at("tower")) {
            document["mm_vision_tower"] = json!("tower/model.safetensors");
        }
        let config = TokenFlowT2iConfig::from_value(&document).unwrap();
        let opened = load(&config, &weights, &device).unwrap();
        let expected = floats(tokenizer.network().quantizer().codes().rows());
        assert_eq!(floats(opened.codes().rows()), expected);
        std::fs::remove_file(&path).unwrap();
    }
    std::fs::write(at("config.json"), config.to_value().to_string()).unwrap();
    tokenflow::save(tokenizer.network(), &specs, &at("tokenizer.safetensors")).unwrap();
    let opened = from_pretrained(&at("model.safetensors").to_string_lossy(), &device).unwrap();
    assert_eq!(opened.info().architecture, "tokenflow-t2i");
}

#[test]
fn losses_send_gradients() {
    let (config, device) = (config(&json!({})), Device::flex().autodiff());
    let source = ParamSource::seeded(1, &device);
    let network = TokenFlowT2iNetwork::new(&source.root(), &config).unwrap();
    let codes = random(&config, 7, &device).unwrap().codes().clone();
    let prompt = T2iPrompt::of(&prompts(None), [10, 11], None).unwrap();
    let ids = Tensor::zeros([2, 14], &device);
    let found = losses(&network, &config, &codes, &config.tokenizer.scales(), &prompt, ids);
    assert_eq!(found.cross_entropy.dims(), [14]);
    let mean = found.cross_entropy.clone().mean();
    // At the start every one of 31 ids is about as likely.
    let value = floats(mean.clone())[0];
    assert!((value - 31.0_f32.ln()).abs() < 0.5, "{value}");
    let gradients = mean.backward();
    let (mut all, mut moved) = (0, 0);
    network.visit(&mut Counter { gradients: &gradients, all: &mut all, moved: &mut moved });
    assert_eq!((all, moved), (2 * 11 + 9, 2 * 11 + 9));
}

/// Counts parameters, and those with a gradient.
struct Counter<'a> {
    gradients: &'a Gradients,
    all: &'a mut usize,
    moved: &'a mut usize,
}

impl ModuleVisitor for Counter<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        *self.all += 1;
        let gradient = param.val().grad(self.gradients);
        *self.moved += usize::from(gradient.is_some_and(|gradient| floats(gradient).iter().any(|x| *x != 0.0)));
    }
}
