//! The KL autoencoder: shapes, gradients, files, configurations.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::{Value, json};
use tessera_layers::checkpoint::{
    NamedTensor, Precision, TensorEntry, Weights, load_strict_renamed, parameter_values, write_safetensors,
};
use tessera_layers::{Params, Tap, Trace};
use tessera_tokenizers::autoencoder_kl::{
    AutoencoderKl, AutoencoderKlConfig, Posterior, current_name, from_pretrained, load, random, save,
};
use tessera_tokenizers::{ConfigError, LoadError, ModelConfig};

/// Three levels, 4 pixels a cell.
fn tiny() -> AutoencoderKlConfig {
    AutoencoderKlConfig {
        block_out_channels: vec![8, 12, 16],
        down_block_types: vec!["DownEncoderBlock2D".to_owned(); 3],
        up_block_types: vec!["UpDecoderBlock2D".to_owned(); 3],
        norm_num_groups: 4,
        latent_channels: 3,
        ..AutoencoderKlConfig::default()
    }
}

fn wave(shape: [usize; 4], device: &Device) -> Tensor<4> {
    let values = (0..shape.iter().product::<usize>()).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<_>>();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn list(tensor: Tensor<4>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

#[test]
fn pictures_of_any_shape_become_latents_and_pictures_again() {
    let device = Device::flex();
    let (network, _) = random(&tiny(), 1, &device).unwrap();
    assert_eq!(tiny().downsampling(), 4);
    for ([height, width], latents) in [([16, 24], [4, 6]), ([8, 8], [2, 2]), ([18, 23], [4, 5]), ([7, 9], [1, 2])] {
        let mut seen = Vec::new();
        let mut watch = |name: &str, _: Tap| seen.push(name.to_owned());
        let mut trace = Trace::new(&mut watch);
        let moments = network.moments(wave([2, 3, height, width], &device), &mut trace);
        assert_eq!(moments.dims(), [2, 6, latents[0], latents[1]], "every halving rounds down");
        let posterior = Posterior::new(moments);
        let image = network.decode(posterior.mean, &mut trace);
        assert_eq!(image.dims(), [2, 3, 4 * latents[0], 4 * latents[1]]);
        let expected = [
            "encoder.conv_in",
            "encoder.level0.last_res",
            "encoder.down_block0",
            "encoder.level1.last_res",
            "encoder.down_block1",
            "encoder.level2.last_res",
            "encoder.down_block2",
            "encoder.mid_attn",
            "encoder.mid_block",
            "encoder.out",
            "decoder.conv_in",
            "decoder.mid_attn",
            "decoder.mid_block",
            "decoder.level0.last_res",
            "decoder.up_block0",
            "decoder.level1.last_res",
            "decoder.up_block1",
            "decoder.level2.last_res",
            "decoder.up_block2",
        ];
        assert_eq!(seen, expected);
    }
}

#[test]
fn every_parameter_gets_a_gradient() {
    let device = Device::flex().autodiff();
    let (network, specs) = random(&tiny(), 1, &device).unwrap();
    let image = wave([2, 3, 16, 16], &device);
    let posterior = Posterior::new(network.moments(image.clone(), &mut Trace::none()));
    let latents = posterior.sample(wave([2, 3, 4, 4], &device));
    let error = network.decode(latents, &mut Trace::none()) - image;
    let loss = (error.clone() * error).mean() + posterior.kl().mean() * 1e-3;
    let mut gradients = loss.backward();
    struct Count<'a>(usize, &'a mut burn::tensor::Gradients);
    impl burn::module::ModuleVisitor for Count<'_> {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            let gradient = param.val().grad_remove(self.1).unwrap();
            let sum: f32 = gradient.abs().sum().into_scalar();
            assert!(sum.is_finite());
            self.0 += 1;
        }
    }
    let mut count = Count(0, &mut gradients);
    burn::module::Module::visit(&network, &mut count);
    assert_eq!(count.0, specs.len());
}

#[test]
fn the_divergence_is_that_of_normal_distributions() {
    let device = Device::flex();
    // Mean 2 and variance e on one value: (4 + e - 1 - 1) / 2; the standard normal: 0; a variance beyond the clamp.
    let moments = Tensor::<4>::from_data([[[[2.0]], [[1.0]]], [[[0.0]], [[0.0]]], [[[0.0]], [[-99.0]]]], &device);
    let posterior = Posterior::new(moments);
    let kl: Vec<f32> = posterior.kl().into_data().iter().collect();
    let expected = [(2.0 + 1.0_f32.exp()) / 2.0, 0.0, 14.5];
    assert!(kl.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{kl:?}");
    let std = list(posterior.std());
    assert!((std[0] - 0.5_f32.exp()).abs() < 1e-6 && (std[2] - (-15.0_f32).exp()).abs() < 1e-9, "{std:?}");
    let sample = list(posterior.sample(Tensor::ones([3, 1, 1, 1], &device)));
    assert!((sample[0] - 2.0 - 0.5_f32.exp()).abs() < 1e-6 && sample[1] == 1.0, "{sample:?}");
}

/// The tensors of a network, each name through `rename`.
fn tensors(config: &AutoencoderKlConfig, rename: impl Fn(&str) -> String) -> Vec<NamedTensor> {
    let (network, specs) = random(config, 5, &Device::flex()).unwrap();
    let tensor = |spec: &tessera_layers::ParamSpec| NamedTensor {
        name: rename(&spec.name),
        shape: spec.shape.clone(),
        values: parameter_values(&network, spec).unwrap(),
    };
    specs.iter().map(tensor).collect()
}

fn old_name(name: &str) -> String {
    [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")]
        .iter()
        .fold(name.to_owned(), |name, (new, old)| name.replace(new, old))
}

fn write(path: &Path, tensors: &[NamedTensor]) -> Weights {
    write_safetensors(path, tensors, Precision::F32, HashMap::new()).unwrap();
    Weights::open(path).unwrap()
}

#[test]
fn older_attention_names_load_as_the_same_network() {
    let (config, device, folder) = (tiny(), Device::flex(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name);
    let (made, specs) = random(&config, 5, &device).unwrap();
    save(&made, &specs, &path("saved.safetensors")).unwrap();
    let old = tensors(&config, old_name);
    assert!(old.iter().any(|tensor| tensor.name == "encoder.mid_block.attentions.0.proj_attn.bias"));
    let image = wave([1, 3, 16, 16], &device);
    let expected = list(made.moments(image.clone(), &mut Trace::none()));
    for weights in [Weights::open(&path("saved.safetensors")).unwrap(), write(&path("old.safetensors"), &old)] {
        let (network, loaded) = load(&config, &weights, &device).unwrap();
        assert_eq!(list(network.moments(image.clone(), &mut Trace::none())), expected);
        let names = |specs: &[tessera_layers::ParamSpec]| specs.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&loaded), names(&specs), "parameters keep the model's names");
    }

    let nested = write(&path("nested.safetensors"), &tensors(&config, |name| format!("vae.vae.{}", old_name(name))));
    let make = |params: &Params| AutoencoderKl::new(&params.at("vae.vae"), &config);
    let (network, ..) = load_strict_renamed(&nested, &[], current_name, &device, make).unwrap();
    assert_eq!(list(network.moments(image, &mut Trace::none())), expected, "below a prefix too");
}

#[test]
fn a_file_with_both_names_or_neither_is_refused() {
    let (config, folder) = (tiny(), tempfile::tempdir().unwrap());
    let mut both = tensors(&config, str::to_owned);
    both.extend(
        tensors(&config, old_name)
            .into_iter()
            .filter(|tensor| tensor.name.ends_with("decoder.mid_block.attentions.0.query.weight")),
    );
    let weights = write(&folder.path().join("both.safetensors"), &both);
    let error = load(&config, &weights, &Device::flex()).err().unwrap().to_string();
    assert!(error.contains("1 tensor that the model does not know") && error.contains("query.weight"), "{error}");
    both.retain(|tensor| !tensor.name.starts_with("decoder.mid_block.attentions.0"));
    let weights = write(&folder.path().join("neither.safetensors"), &both);
    let error = load(&config, &weights, &Device::flex()).err().unwrap().to_string();
    assert!(error.contains("lacks 10") && error.contains("decoder.mid_block.attentions.0"), "{error}");
}

#[test]
fn names_are_only_changed_in_attention_layers() {
    let changed = "a.b.encoder.mid_block.attentions.0.query.bias";
    assert_eq!(current_name(changed).unwrap(), "a.b.encoder.mid_block.attentions.0.to_q.bias");
    for name in ["query.weight", "attentions.query.weight", "attentions.0.to_q.weight", "attentions.0.key.scale", "key"]
    {
        assert_eq!(current_name(name), None, "{name}");
    }
    let entry = |name: &str| TensorEntry { name: name.to_owned(), shape: vec![1] };
    assert_eq!(ModelConfig::current_names(&[entry(changed)])[0].name, "a.b.encoder.mid_block.attentions.0.to_q.bias");
}

#[test]
fn parts_that_a_configuration_leaves_out_are_not_there() {
    let config = AutoencoderKlConfig {
        use_quant_conv: false,
        use_post_quant_conv: false,
        mid_block_add_attention: false,
        ..tiny()
    };
    let device = Device::flex();
    let (network, specs) = random(&config, 1, &device).unwrap();
    assert!(!specs.iter().any(|spec| spec.name.contains("quant_conv") || spec.name.contains("attentions")));
    let moments = network.moments(wave([1, 3, 8, 8], &device), &mut Trace::none());
    assert_eq!(network.decode(Posterior::new(moments).mean, &mut Trace::none()).dims(), [1, 3, 8, 8]);
}

#[test]
fn a_folder_opens_as_an_autoencoder_and_not_as_a_tokenizer() {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().to_string_lossy().into_owned();
    let config = ModelConfig::AutoencoderKl(tiny());
    config.write_random(3, &folder.path().join("model.safetensors")).unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_value().to_string()).unwrap();
    let (_, found) = from_pretrained(&spec, &Device::flex()).unwrap();
    assert_eq!(found, tiny());
    let refused = |error: LoadError| {
        let (LoadError::Config(source) | LoadError::ConfigFile { source, .. }) = &error else { panic!("{error}") };
        assert!(matches!(source, ConfigError::Unsupported(_)), "{error}");
        assert!(error.to_string().contains("autoencoder_kl::from_pretrained"), "{error}");
    };
    refused(tessera_tokenizers::from_pretrained(&spec, &Device::flex()).err().unwrap());
    refused(config.random(0, &Device::flex()).err().unwrap());
}

#[test]
fn configurations_that_do_not_fit_are_refused_by_key() {
    let with = |key: &str, value: Value| {
        let mut document = tiny().to_value();
        document[key] = value;
        AutoencoderKlConfig::from_value(&document)
    };
    for (key, value, expected) in [
        ("act_fn", json!("gelu"), "silu"),
        ("down_block_types", json!(["DownEncoderBlock2D", "AttnDownEncoderBlock2D", "DownEncoderBlock2D"]), "AttnDown"),
        ("up_block_types", json!(["UpDecoderBlock2D"]), "each of the 3 levels"),
        ("shift_factor", json!(0.1), "null"),
        ("latents_mean", json!([0.0]), "null"),
        ("latents_std", json!([1.0]), "null"),
        ("norm_num_groups", json!(0), "from 1 to"),
        ("block_out_channels", json!([8, 12, 18]), "norm_num_groups 4 divides"),
        ("block_out_channels", json!([]), "1 to 12 levels"),
        ("latent_channels", json!(1_000_000), "from 1 to"),
        ("layers_per_block", json!(0), "from 1 to 64"),
        ("scaling_factor", json!(0.0), "above 0"),
        ("use_tiling", json!(true), "no such key"),
        ("_class_name", json!("AutoencoderTiny"), "AutoencoderKL"),
    ] {
        let error = with(key, value).unwrap_err().to_string();
        assert!(error.contains(&format!("\"{key}\"")) && error.contains(expected), "{key}: {error}");
    }
    assert!(with("in_channels", json!("three")).unwrap_err().to_string().contains("three"));
    assert!(AutoencoderKlConfig::from_value(&json!([1])).unwrap_err().to_string().contains("a list"));
    assert!(with("_name_or_path", json!("anywhere")).is_ok() && with("shift_factor", json!(null)).is_ok());
    let absent = AutoencoderKlConfig::from_value(&json!({ "_class_name": "AutoencoderKL" })).unwrap();
    assert_eq!(absent, AutoencoderKlConfig::default());
    assert_eq!(with("scaling_factor", json!(null)).unwrap().scaling_factor, None);
}
