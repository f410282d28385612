//! FlexTok beyond its recorded cases: prefixes, batches, seeds, sizes, and files.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::{Value, json};
use tessera_layers::Trace;
use tessera_layers::checkpoint::{NamedTensor, Precision, Weights, read_config, write_safetensors};
use tessera_tokenizers::flextok::{
    self, Condition, FlexTok, FlexTokConfig, Guidance, PosteriorChoice, Registers, config_in, flow_noise, resolve_vae,
};
use tessera_tokenizers::{
    ConfigError, DecodeOptions, Input, LoadError, ModelConfig, Tokenizer as _, TokenizerError, Tokens, from_pretrained,
};

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/flextok/tiny_rect_f4")
}

fn document() -> Value {
    resolve_vae(read_config(&recorded().join("config.json")).unwrap(), &recorded()).unwrap()
}

fn model() -> FlexTok {
    let weights = Weights::open(&recorded().join("model.safetensors")).unwrap();
    flextok::load(&FlexTokConfig::from_value(&document()).unwrap(), &weights, &Device::flex()).unwrap()
}

fn images(count: usize, [height, width]: [usize; 2]) -> Tensor<4> {
    let values = (0..count * 3 * height * width).map(|i| (i as f32 * 0.37).sin() * 0.5 + 0.5).collect();
    Tensor::from_data(TensorData::new::<f32, _>(values, [count, 3, height, width]), &Device::flex())
}

fn encode(model: &FlexTok, count: usize) -> Tokens {
    model.encode(&Input::Images(images(count, model.config().image_size()))).unwrap()
}

fn options(keep: Option<usize>, seed: u64) -> DecodeOptions {
    let mut options = DecodeOptions::default();
    options.keep = keep;
    (options.flow.steps, options.flow.guidance, options.flow.seed) = (Some(2), Some(Guidance::Constant(3.0)), seed);
    options
}

fn decode(model: &FlexTok, tokens: &Tokens, options: &DecodeOptions) -> Vec<f32> {
    let images = model.decode(tokens, options).unwrap().into_images().unwrap();
    images.into_data().try_to_vec().unwrap()
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-4)
}

#[test]
fn a_prefix_of_the_tokens_decodes_like_asking_for_so_many() {
    let model = model();
    let tokens = encode(&model, 1);
    let mut pictures = Vec::new();
    for keep in [1, 2, 5, 10] {
        let asked = decode(&model, &tokens, &options(Some(keep), 0));
        let cut = decode(&model, &tokens.clone().prefix(keep).unwrap(), &options(None, 0));
        assert!(close(&asked, &cut), "{keep}");
        pictures.push(asked);
    }
    assert!(pictures.windows(2).all(|pair| !close(&pair[0], &pair[1])), "more tokens make a difference");
}

#[test]
fn items_of_a_batch_do_not_see_one_another() {
    let model = model();
    let tokens = encode(&model, 3);
    let lengths = [2, 10, 7];
    let kept = lengths.iter().flat_map(|&length| (0..10).map(move |at| at < length)).collect();
    let together = decode(&model, &tokens.clone().with_kept(kept).unwrap(), &options(None, 5));
    for (item, &length) in lengths.iter().enumerate() {
        let mut options = options(Some(length), 5);
        options.flow.first_item = item as u64;
        let alone = decode(&model, &tokens.items(item, 1).unwrap(), &options);
        assert!(close(&alone, &together[item * alone.len()..(item + 1) * alone.len()]), "{item}");
    }
}

#[test]
fn the_seed_decides_what_tokens_leave_open() {
    let model = model();
    let tokens = encode(&model, 1);
    let first = decode(&model, &tokens, &options(Some(1), 1));
    assert_eq!(first, decode(&model, &tokens, &options(Some(1), 1)), "same seed, same bits");
    assert!(!close(&first, &decode(&model, &tokens, &options(Some(1), 2))));
}

#[test]
fn the_first_tokens_do_not_depend_on_how_many_follow() {
    let folder = tempfile::tempdir().unwrap();
    let weights = Weights::open(&recorded().join("model.safetensors")).unwrap();
    let registers = 6;
    let tensors: Vec<NamedTensor> = weights
        .entries()
        .into_iter()
        .map(|entry| {
            let values = weights.read_f32(&entry.name).unwrap();
            let (shape, values) = match entry.name.as_str() {
                "encoder.module_dict.enc_register_module.registers" => {
                    (vec![registers, entry.shape[1]], values[..registers * entry.shape[1]].to_vec())
                }
                "decoder.module_dict.dec_registers_posemb_module.posembs" => {
                    let rows = values.chunks(entry.shape[3]).flat_map(|row| row[..registers].to_vec()).collect();
                    (vec![1, 1, entry.shape[2], registers], rows)
                }
                _ => (entry.shape, values),
            };
            NamedTensor { name: entry.name, shape, values }
        })
        .collect();
    let path = folder.path().join("model.safetensors");
    write_safetensors(&path, &tensors, Precision::F32, HashMap::new()).unwrap();
    let config = FlexTokConfig { registers, ..FlexTokConfig::from_value(&document()).unwrap() };
    let short = flextok::load(&config, &Weights::open(&path).unwrap(), &Device::flex()).unwrap();

    let (short, long) = (encode(&short, 2), encode(&model(), 2));
    for item in 0..2 {
        assert_eq!(short.ids()[item * 6..(item + 1) * 6], long.ids()[item * 10..item * 10 + 6]);
    }
}

#[test]
fn any_rectangle_up_to_the_models_size_is_coded() {
    let model = model();
    assert_eq!(model.config().image_size(), [32, 40]);
    for size in [[8, 8], [16, 40], [32, 8], [24, 32]] {
        let tokens = model.encode(&Input::Images(images(1, size))).unwrap();
        let mut options = options(Some(3), 0);
        options.size = Some(size);
        assert_eq!(decode(&model, &tokens, &options).len(), 3 * size[0] * size[1]);
    }
    let tokens = encode(&model, 1);
    for size in [[0, 8], [12, 8], [40, 8], [32, 48]] {
        assert!(matches!(model.encode(&Input::Images(images(1, size))), Err(TokenizerError::Input { .. })), "{size:?}");
        let mut options = options(None, 0);
        options.size = Some(size);
        assert!(matches!(model.decode(&tokens, &options), Err(TokenizerError::Input { .. })), "{size:?}");
    }
}

#[test]
fn sampling_tells_every_step_and_can_be_ended() {
    let model = model();
    let tokens = encode(&model, 1);
    let mut options = options(Some(4), 0);
    options.flow.steps = Some(5);
    let mut told = Vec::new();
    let stopped = model
        .sample(&tokens, &options, None, &mut |step| {
            told.push(step.done);
            assert_eq!(step.steps, 5);
            if step.done == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!(told, [1, 2, 3]);
    let whole = model.sample(&tokens, &options, None, &mut |_| ControlFlow::Continue(())).unwrap();
    let away = |latents: &Tensor<4>| (latents.clone() - whole.clone()).square().mean().into_scalar::<f32>();
    let zero = whole.clone().zeros_like();
    assert!(away(&stopped) < away(&zero), "the estimate heads for the result");
}

#[test]
fn a_list_of_scales_is_a_schedule() {
    let model = model();
    let tokens = encode(&model, 1);
    let with = |guidance: Guidance| {
        let mut options = options(None, 0);
        options.flow.guidance = Some(guidance);
        decode(&model, &tokens, &options)
    };
    let constant = with(Guidance::Constant(2.0));
    assert_eq!(with(Guidance::Steps(vec![2.0])), constant);
    assert_eq!(with(Guidance::Linear { base: 2.0, slope: 0.0 }), constant);
    assert!(!close(&with(Guidance::Steps(vec![2.0, 5.0])), &constant));
}

#[test]
fn the_posterior_is_drawn_where_it_is_asked_for() {
    let model = model();
    let pictures = images(1, [16, 16]);
    let latents = |choice: PosteriorChoice| {
        let latents = model.latents(pictures.clone(), &choice).unwrap();
        latents.into_data().try_to_vec::<f32>().unwrap()
    };
    let (mean, drawn) = (latents(PosteriorChoice::Mean), latents(PosteriorChoice::Seed(1)));
    assert_ne!(mean, drawn);
    assert_eq!(drawn, latents(PosteriorChoice::Seed(1)));
    assert_eq!(mean, latents(PosteriorChoice::Noise(Tensor::zeros([1, 4, 4, 4], &Device::flex()))));
    let wrong = PosteriorChoice::Noise(Tensor::zeros([1, 4, 2, 4], &Device::flex()));
    assert!(matches!(model.latents(pictures, &wrong), Err(TokenizerError::Input { .. })));
}

#[test]
fn what_does_not_fit_is_refused() {
    let model = model();
    let tokens = encode(&model, 1);
    for keep in [0, 11] {
        assert!(matches!(model.decode(&tokens, &options(Some(keep), 0)), Err(TokenizerError::Input { .. })), "{keep}");
    }
    let mut none = options(None, 0);
    none.flow.steps = Some(0);
    assert!(matches!(model.decode(&tokens, &none), Err(TokenizerError::Input { .. })));
    let subset = tokens.clone().with_kept((0..10).map(|at| at % 2 == 1).collect()).unwrap();
    assert!(matches!(model.decode(&subset, &options(None, 0)), Err(TokenizerError::Input { .. })));
    let noise = Tensor::zeros([1, 4, 2, 2], &Device::flex());
    let sampled = model.sample(&tokens, &options(None, 0), Some(noise), &mut |_| ControlFlow::Continue(()));
    assert!(matches!(sampled, Err(TokenizerError::Input { .. })));
}

#[test]
fn the_configuration_travels_in_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let whole = from_pretrained(&recorded().to_string_lossy(), &Device::flex()).unwrap();
    // The recorded file names the autoencoder's configuration by its place beside it.
    std::fs::copy(recorded().join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    std::fs::create_dir(folder.path().join("vae")).unwrap();
    std::fs::copy(recorded().join("vae/config.json"), folder.path().join("vae/config.json")).unwrap();
    let alone = from_pretrained(&folder.path().to_string_lossy(), &Device::flex()).unwrap();
    assert_eq!(alone.info().fingerprint, whole.info().fingerprint);

    // Saved again, the file holds everything.
    let path = folder.path().join("saved.safetensors");
    let model = model();
    flextok::save(model.network(), model.config(), model.specs(), &path).unwrap();
    let weights = Weights::open(&path).unwrap();
    let config = FlexTokConfig::from_value(&config_in(&weights).unwrap()).unwrap();
    assert_eq!(&config, model.config());
    let order: Vec<usize> = ["enc_patch_emb", "enc_transformer", "enc_unpacker", "enc_to_latents"]
        .iter()
        .map(|key| weights.metadata("encoder").unwrap().find(&format!("'{key}'")).unwrap())
        .collect();
    assert!(order.is_sorted(), "modules stand in the order in which they run");
    let saved = from_pretrained(&path.to_string_lossy(), &Device::flex());
    // The recorded folder's VAE config is the only one beside it, so the file is opened where there is none.
    assert_eq!(saved.unwrap().info().fingerprint, whole.info().fingerprint);

    let tensors: Vec<NamedTensor> = weights
        .entries()
        .into_iter()
        .map(|entry| NamedTensor {
            values: weights.read_f32(&entry.name).unwrap(),
            name: entry.name,
            shape: entry.shape,
        })
        .collect();
    let bare = folder.path().join("bare.safetensors");
    write_safetensors(&bare, &tensors, Precision::F32, HashMap::new()).unwrap();
    let error = from_pretrained(&bare.to_string_lossy(), &Device::flex()).err().unwrap();
    assert!(matches!(error, LoadError::Config(ConfigError::UnknownArchitecture(_))), "{error}");
}

/// The document with one value changed.
fn changed(pointer: &str, value: Value) -> Value {
    let mut document = document();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[key] = value;
    document
}

#[test]
fn configurations_that_do_not_fit_name_the_key() {
    let chain = "/encoder/module_dict";
    for (pointer, value, says) in [
        ("/_target_".to_owned(), json!("os.system"), "_target_"),
        (format!("{chain}/enc_transformer/_target_"), json!("builtins.eval"), "builtins.eval"),
        (
            format!("{chain}/enc_patch_emb/_target_"),
            json!("flextok.model.trunks.transformers.FlexTransformer"),
            "_target_",
        ),
        (format!("{chain}/enc_extra"), json!({}), "enc_extra"),
        (format!("{chain}/enc_transformer/head_dim"), json!(7), "head_dim"),
        (format!("{chain}/enc_transformer/depth"), json!(0), "depth"),
        (format!("{chain}/enc_transformer/depth"), json!(-3), "depth"),
        (format!("{chain}/enc_seq_packer/mask_mode"), json!("causal"), "mask_mode"),
        (format!("{chain}/enc_posemb_module/posemb_scaling"), json!("interpolate"), "posemb_scaling"),
        (format!("{chain}/enc_register_module/n_min"), json!(3), "n_min"),
        (format!("{chain}/enc_to_latents/use_mup_readout"), json!(true), "output_mult"),
        ("/decoder/module_dict/dec_time_embedder/max_timestep".to_owned(), json!(null), "max_timestep"),
        ("/decoder/module_dict/dec_nested_dropout/size_sampling_mode".to_owned(), json!("odd"), "size_sampling_mode"),
        ("/decoder/module_dict/dec_registers_posemb_module/max_sizes".to_owned(), json!([9]), "max_sizes"),
        ("/decoder/module_dict/dec_latent_dropout/dropout_prob".to_owned(), json!(1.5), "dropout_prob"),
        ("/regularizer/levels".to_owned(), json!([8, 1]), "levels"),
        ("/regularizer/levels".to_owned(), json!([60000, 60000]), "levels"),
        ("/regularizer/levels".to_owned(), json!([8, 8, 8, 5, 5]), "dim_out"),
        ("/pipeline/out_channels".to_owned(), json!(5), "out_channels"),
        ("/vae/architecture/latent_channels".to_owned(), json!(5), "latent_channels"),
        ("/vae/force_vae_encode".to_owned(), json!(true), "force_vae_encode"),
    ] {
        let error = FlexTokConfig::from_value(&changed(&pointer, value)).unwrap_err().to_string();
        assert!(error.contains(says), "{pointer}: {error}");
    }
    let mut document = changed("/vae/scaling_factor", json!(null));
    document["vae"]["architecture"]["scaling_factor"] = json!(null);
    let error = FlexTokConfig::from_value(&document).unwrap_err().to_string();
    assert!(error.contains("scaling_factor"), "{error}");
    assert!(FlexTokConfig::from_value(&json!({ "config": self::document() })).is_ok(), "wrapped as the hub does");
}

#[test]
fn a_mup_readout_multiplies_its_input() {
    let mut document = changed("/encoder/module_dict/enc_to_latents/use_mup_readout", json!(true));
    let head = &mut document["encoder"]["module_dict"]["enc_to_latents"];
    (head["output_mult"], head["width_mult"]) = (json!(3.0), json!(1.5));
    let config = FlexTokConfig::from_value(&document).unwrap();
    assert_eq!(FlexTokConfig::from_value(&config.to_value()).unwrap(), config);
    let weights = Weights::open(&recorded().join("model.safetensors")).unwrap();
    let scaled = flextok::load(&config, &weights, &Device::flex()).unwrap();
    let plain = model();
    let latents = plain.latents(images(1, [16, 16]), &PosteriorChoice::Mean).unwrap();
    let registers = |model: &FlexTok| {
        let registers = model.network().registers(latents.clone(), &mut Trace::none());
        registers.into_data().try_to_vec::<f32>().unwrap()
    };
    let bias = weights.read_f32("encoder.module_dict.enc_to_latents.proj.bias").unwrap();
    for (at, (scaled, plain)) in registers(&scaled).into_iter().zip(registers(&plain)).enumerate() {
        let bias = bias[at % bias.len()];
        assert!((scaled - (2.0 * (plain - bias) + bias)).abs() < 1e-4);
    }
}

#[test]
fn a_fixed_transform_may_stand_for_the_autoencoder() {
    let mut document = document();
    document["vae"]["architecture"] = json!({ "_class_name": "PatchDct", "patch": 4, "luma": 2, "chroma": 1 });
    document["vae"]["scaling_factor"] = json!(null);
    let config = FlexTokConfig::from_value(&document).unwrap();
    assert_eq!(FlexTokConfig::from_value(&config.to_value()).unwrap(), config);
    let specs = flextok::listing(&config).unwrap();
    assert!(specs.iter().all(|spec| !spec.name.starts_with("vae.")), "nothing to train, nothing to store");
    let model = flextok::random(&config, 1, &Device::flex()).unwrap();
    assert_eq!(model.config().image_size(), [32, 40]);
    let tokens = encode(&model, 2);
    assert_eq!(decode(&model, &tokens, &options(Some(2), 0)).len(), 2 * 3 * 32 * 40);
    document["vae"]["architecture"]["luma"] = json!(3);
    let error = FlexTokConfig::from_value(&document).unwrap_err().to_string();
    assert!(error.contains("latent_channels"), "{error}");
}

#[test]
fn registers_that_are_alike_may_be_counted_instead() {
    let weights = Weights::open(&recorded().join("model.safetensors")).unwrap();
    for mix in [json!(null), json!("dct")] {
        let mut document = document();
        document["register_mix"] = mix.clone();
        let config = FlexTokConfig::from_value(&document).unwrap();
        assert_eq!(FlexTokConfig::from_value(&config.to_value()).unwrap(), config);
        let model = flextok::load(&config, &weights, &Device::flex()).unwrap();
        let tokens = encode(&model, 3);
        let codes = model.embed(&tokens).unwrap().vectors;
        let decoder = model.network().decoder();
        let x = flow_noise(1, 0, [3, 4, 6, 8], &Device::flex());
        let velocity = |registers: Registers| {
            let velocity = decoder.velocity(x.clone(), registers, &[0.9, 0.5, 0.1], &mut Trace::none());
            velocity.into_data().try_to_vec::<f32>().unwrap()
        };
        let lengths = [Condition::Tokens(1), Condition::Null, Condition::Tokens(4)];
        for conditions in [lengths, [Condition::Null; 3], [Condition::Tokens(9); 3], [Condition::Tokens(10); 3]] {
            let whole = velocity(decoder.registers(codes.clone(), &conditions, &mut Trace::none()));
            let counted = decoder.counted_registers(codes.clone(), &conditions);
            let [_, count, _] = counted.tokens.dims();
            assert!(count <= 10);
            assert!(close(&velocity(counted), &whole), "{mix} {conditions:?}");
        }
    }
    let error = FlexTokConfig::from_value(&changed("/register_mix", json!("haar"))).unwrap_err().to_string();
    assert!(error.contains("register_mix"), "{error}");
}

#[test]
fn a_random_model_starts_and_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let config = ModelConfig::from_value(&document()).unwrap();
    config.write_random(3, &folder.path().join("model.safetensors")).unwrap();
    let written = from_pretrained(&folder.path().to_string_lossy(), &Device::flex()).unwrap();
    let drawn = config.random(3, &Device::flex()).unwrap();
    assert_eq!(written.info().fingerprint, drawn.info().fingerprint);
}
