//! TokenFlow beyond its recorded cases.

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::{Value, json};
use tessera_layers::checkpoint::{CheckpointError, NamedTensor, Precision, Weights, write_safetensors};
use tessera_layers::{ParamSource, Params, load_strict};
use tessera_tokenizers::quantizers::ScaleQuantizer;
use tessera_tokenizers::quantizers::scales::ScaleNames;
use tessera_tokenizers::tokenflow::{self, SharedQuantizer, TokenFlow, TokenFlowConfig, losses, semantic_loss};
use tessera_tokenizers::{
    ConfigError, DecodeOptions, Fingerprint, Input, LoadError, ModelConfig, TokenFile, TokenLayout, Tokenizer as _,
    TokenizerError, Tokens, load_tokens, save_tokens,
};

/// A tiny model; `change` puts keys into its document.
fn document(change: Value) -> Value {
    let mut document = json!({
        "model": "TokenFlow", "teacher": "clipb_224", "image_size": 16, "scales": [1, 2, 4], "codebook_size": 50,
        "codebook_embed_dim": 4, "semantic_code_dim": 6, "z_channels": 8,
        "encoder_ch": 32, "encoder_ch_mult": [1, 1, 1], "encoder_num_res_blocks": 1,
        "decoder_ch": 32, "decoder_ch_mult": [1, 1, 1], "decoder_num_res_blocks": 1, "decoder_out_dim": 8,
        "semantic_encoder":
            {"kind": "clip_vit", "image_size": 12, "patch_size": 4, "width": 24, "layers": 1, "heads": 3, "mlp_ratio": 4},
        "semantic_decoder": {"width": 24, "layers": 1, "heads": 3, "grid": 3, "mlp_ratio": 4},
    });
    for (key, value) in change.as_object().unwrap() {
        document[key] = value.clone();
    }
    document
}

fn siglip() -> Value {
    json!({
        "teacher": "siglip_384", "image_size": 13,
        "semantic_encoder": {
            "kind": "siglip_vision", "image_size": 13, "patch_size": 3, "width": 24, "layers": 2, "heads": 2,
            "intermediate_size": 30,
        },
    })
}

fn model(change: Value) -> TokenFlow {
    let config = TokenFlowConfig::from_value(&document(change)).unwrap();
    tokenflow::random(&config, 3, &Device::flex()).unwrap().0
}

fn images(count: usize, side: usize) -> Tensor<4> {
    let values = (0..count * 3 * side * side).map(|i| (i as f32 * 0.37).sin() * 0.5 + 0.5).collect();
    Tensor::from_data(TensorData::new::<f32, _>(values, [count, 3, side, side]), &Device::flex())
}

fn pixels(tokenizer: &TokenFlow, tokens: &Tokens, options: &DecodeOptions) -> Vec<f32> {
    tokenizer.decode(tokens, options).unwrap().into_images().unwrap().into_data().iter().collect()
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn any_number_of_whole_scales_decodes_and_nothing_else_does() {
    for change in [json!({}), siglip()] {
        let tokenizer = model(change);
        let side = tokenizer.config().image_size;
        let tokens = tokenizer.encode(&Input::Images(images(2, side))).unwrap();
        assert_eq!(*tokens.layout(), TokenLayout::Scales { counts: vec![1, 4, 16] });
        let whole = pixels(&tokenizer, &tokens, &DecodeOptions::default());
        for keep in 1..=22 {
            let asked = tokenizer.decode(&tokens, &DecodeOptions::prefix(keep));
            let Ok(asked) = asked else {
                assert!(![1, 5, 21].contains(&keep) && matches!(asked, Err(TokenizerError::Input { .. })), "{keep}");
                continue;
            };
            assert!([1, 5, 21].contains(&keep), "{keep}");
            let asked: Vec<f32> = asked.into_images().unwrap().into_data().iter().collect();
            let cut = pixels(&tokenizer, &tokens.clone().prefix(keep).unwrap(), &DecodeOptions::default());
            assert_eq!(asked, cut, "{keep}");
            assert_eq!(asked == whole, keep == 21, "{keep}");
        }
        let mut holes = vec![true; 42];
        holes[1] = false;
        assert!(tokenizer.decode(&tokens.with_kept(holes).unwrap(), &DecodeOptions::default()).is_err());
    }
}

#[test]
fn items_that_keep_different_scales_decode_as_they_do_alone() {
    let tokenizer = model(json!({}));
    let tokens = tokenizer.encode(&Input::Images(images(3, 16))).unwrap();
    let lengths = [5, 21, 1];
    let kept = lengths.iter().flat_map(|&length| (0..21).map(move |at| at < length)).collect();
    let together = pixels(&tokenizer, &tokens.clone().with_kept(kept).unwrap(), &DecodeOptions::default());
    for (item, (length, found)) in lengths.into_iter().zip(together.chunks(3 * 16 * 16)).enumerate() {
        let alone = pixels(&tokenizer, &tokens.items(item, 1).unwrap(), &DecodeOptions::prefix(length));
        assert!(furthest(&alone, found) < 1e-5, "item {item}");
    }
}

#[test]
fn both_halves_of_a_code_have_unit_length_and_one_index() {
    let tokenizer = model(json!({}));
    let tokens = tokenizer.encode(&Input::Images(images(1, 16))).unwrap();
    let halves = tokenizer.code_halves(&tokens).unwrap();
    assert_eq!(halves.clone().map(|half| half.dims()), [[1, 21, 6], [1, 21, 4]]);
    for half in halves {
        let lengths: Vec<f32> = half.square().sum_dim(2).into_data().iter().collect();
        assert!(lengths.iter().all(|length| (length - 1.0).abs() < 1e-5), "{lengths:?}");
    }
    let features = tokenizer.semantic_features(&tokens, &DecodeOptions::default()).unwrap();
    assert_eq!(features.dims(), [1, 16, 8]);
}

#[test]
fn tokens_survive_their_files() {
    let tokenizer = model(json!({}));
    let tokens = tokenizer.encode(&Input::Images(images(2, 16))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, tokens) in [
        ("whole.tsr", tokens.clone()),
        ("coarse.tsr", tokens.clone().prefix(5).unwrap()),
        ("whole.safetensors", tokens.clone()),
    ] {
        let path = folder.path().join(name);
        save_tokens(&path, &TokenFile::new(tokens.clone())).unwrap();
        assert_eq!(load_tokens(&path, false).unwrap().tokens, tokens, "{name}");
    }
}

#[test]
fn a_checkpoint_survives_being_written_and_may_lack_what_is_never_run() {
    let config = TokenFlowConfig::from_value(&document(siglip())).unwrap();
    let device = Device::flex();
    let (model, specs) = tokenflow::random(&config, 3, &device).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    tokenflow::save(model.network(), &specs, &path).unwrap();
    let (again, _) = tokenflow::load(&config, &Weights::open(&path).unwrap(), &device).unwrap();
    let tokens = model.encode(&Input::Images(images(1, 13))).unwrap();
    assert_eq!(again.encode(&Input::Images(images(1, 13))).unwrap(), tokens);

    // Without the last block, the normalisation and the head of the SigLIP.
    let is_run = |name: &str| {
        let tower = "encoder_vqkd.vision_model.";
        !["head.", "post_layernorm.", "encoder.layers.1."]
            .iter()
            .any(|rest| name.starts_with(&format!("{tower}{rest}")))
    };
    let needed: Vec<_> = specs.iter().filter(|spec| is_run(&spec.name)).cloned().collect();
    assert!(needed.len() + 20 < specs.len());
    let short = folder.path().join("short.safetensors");
    tokenflow::save(model.network(), &needed, &short).unwrap();
    let (short, _) = tokenflow::load(&config, &Weights::open(&short).unwrap(), &device).unwrap();
    assert_eq!(short.encode(&Input::Images(images(1, 13))).unwrap().ids(), tokens.ids());

    let path = folder.path().join("less.safetensors");
    tokenflow::save(model.network(), &needed[1..], &path).unwrap();
    let error = tokenflow::load(&config, &Weights::open(&path).unwrap(), &device).err().unwrap();
    assert!(matches!(error, LoadError::Checkpoint(_)) && error.to_string().contains(&needed[0].name), "{error}");
}

#[test]
fn bad_configurations_are_refused_by_key() {
    let refused = |change: Value| match ModelConfig::from_value(&document(change)) {
        Err(ConfigError::Invalid { key, .. }) => key,
        other => panic!("{other:?}"),
    };
    for (key, change) in [
        ("teacher", json!({"teacher": "vgg"})),
        ("model", json!({"model": "Tokenflow"})),
        ("scales", json!({"scales": []})),
        ("scales", json!({"scales": [1, 5, 4]})),
        ("scales (the last)", json!({"scales": [1, 2, 3]})),
        ("image_size", json!({"encoder_ch_mult": [1, 1], "decoder_ch_mult": [1, 1]})),
        ("codebook_size", json!({"codebook_size": 0})),
        ("codebook_l2_norm", json!({"codebook_l2_norm": false})),
        ("kmeans", json!({"kmeans": true})),
        ("encoder_ch_mult", json!({"encoder_ch": 33})),
        ("decoder_ch_mult", json!({"decoder_ch_mult": [1, 1]})),
        ("entropy_loss_ratio", json!({"entropy_loss_ratio": -1.0})),
        ("(whole file)", json!({"z_channels": "many"})),
    ] {
        assert_eq!(refused(change.clone()), key, "{change}");
    }
    let mut tower = document(json!({}));
    tower["semantic_encoder"]["heads"] = json!(5);
    let error = TokenFlowConfig::from_value(&tower).unwrap_err();
    assert!(matches!(&error, ConfigError::Invalid { key, .. } if key == "semantic_encoder.heads"), "{error}");
    let mut other = document(siglip());
    other["teacher"] = json!("clipb_224");
    assert!(TokenFlowConfig::from_value(&other).is_err());

    let error = ModelConfig::from_value(&document(json!({"teacher": "vitamin_xlarge_256"}))).unwrap_err();
    assert!(matches!(&error, ConfigError::Unsupported(text) if text.contains("ViTamin")), "{error}");
}

#[test]
fn what_a_document_leaves_out_is_as_released() {
    let document =
        json!({"model": "TokenFlow", "teacher": "clipb_224", "infer_interpolate": true, "enhanced_decoder": true});
    let config = ModelConfig::from_value(&document).unwrap();
    assert_eq!(Some(config), ModelConfig::preset("tokenflow-clipb-32k-enhanced"));
    let plain = TokenFlowConfig::from_value(&json!({"teacher": "clipb_224"})).unwrap();
    assert_eq!((plain.image_size, plain.scales().tokens(), plain.decoder_ch), (224, 561, 128));
    let tokens = |name: &str| TokenFlowConfig::preset(name).unwrap().scales().tokens();
    assert_eq!([tokens("tokenflow-clipb-32k-enhanced"), tokens("tokenflow-siglip-32k")], [817, 2227]);
}

#[test]
fn tokens_of_another_model_and_pictures_of_another_size_are_refused() {
    let tokenizer = model(json!({}));
    assert!(matches!(tokenizer.encode(&Input::Images(images(1, 20))), Err(TokenizerError::Input { .. })));
    let tokens = tokenizer.encode(&Input::Images(images(1, 16))).unwrap();
    let other = model(json!({"commit_loss_beta": 0.5}));
    assert!(matches!(other.decode(&tokens, &DecodeOptions::default()), Err(TokenizerError::OtherModel { .. })));
    let of = |counts: Vec<u32>, ids: Vec<u32>| {
        Tokens::new(ids, 1, TokenLayout::Scales { counts }, vec![50], Fingerprint::default()).unwrap()
    };
    assert!(tokenizer.decode(&of(vec![1, 4, 16], vec![7; 21]), &DecodeOptions::default()).is_ok());
    assert!(tokenizer.decode(&of(vec![1, 4], vec![7; 5]), &DecodeOptions::default()).is_err());
}

#[test]
fn losses_send_gradients_to_both_branches_and_both_codebooks() {
    let config = TokenFlowConfig::from_value(&document(json!({}))).unwrap();
    let device = Device::flex().autodiff();
    let (model, specs) = tokenflow::random(&config, 3, &device).unwrap();
    let network = model.into_network();
    let images = images(2, 16).autodiff();
    let found = losses(&network, images, &[1, 4]);
    assert_eq!(found.ids.dims(), [2, 17]); // the middle scale was left out
    assert_eq!(found.semantic.dims(), [2, 16, 8]);
    let teacher = found.semantic.zeros_like().add_scalar(0.5);
    let total = found.reconstruction + found.codebook + found.commitment + semantic_loss(found.semantic, teacher);
    let gradients = total.backward();
    for name in [
        "encoder.conv_in.weight",
        "encoder_vqkd.conv1.weight",
        "encode_task_layer.0.weight",
        "decoder.conv_out.weight",
        "decoder_vqkd.cls_token",
        "quantize.embedding_vqkd.weight",
        "quantize.embedding_vqgan.weight",
    ] {
        let spec = specs.iter().find(|spec| spec.name == name).unwrap();
        assert!(size_of_gradient(&network, spec.id, &gradients) > 0.0, "{name}");
    }
}

fn size_of_gradient<M: burn::module::Module>(
    module: &M,
    id: burn::module::ParamId,
    gradients: &burn::tensor::Gradients,
) -> f32 {
    struct Finder<'a> {
        id: burn::module::ParamId,
        gradients: &'a burn::tensor::Gradients,
        size: f32,
    }
    impl burn::module::ModuleVisitor for Finder<'_> {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            if param.id == self.id
                && let Some(gradient) = param.val().grad(self.gradients)
            {
                self.size = gradient.into_data().iter::<f32>().map(f32::abs).sum();
            }
        }
    }
    let mut finder = Finder { id, gradients, size: 0.0 };
    module.visit(&mut finder);
    finder.size
}

/// What lets a next-scale generator read TokenFlow's tokens as VAR's.
#[test]
fn its_scales_are_those_of_a_quantizer_over_scales() {
    let device = Device::flex();
    let source = ParamSource::seeded(5, &device);
    let shared = SharedQuantizer::new(&source.root(), 30, [6, 4], 0.25).unwrap();
    let scales = tokenflow::Scales::new(&[1, 2, 3, 5]);
    let (folder, rows) = (tempfile::tempdir().unwrap(), shared.codes().rows());
    let path = folder.path().join("codes.safetensors");
    let tensor = |name: &str, shape: &[usize], values: Vec<f32>| NamedTensor {
        name: name.to_owned(),
        shape: shape.to_vec(),
        values,
    };
    let tensors = [
        tensor("embedding.weight", &[30, 10], rows.into_data().iter().collect()),
        tensor("phi.0.weight", &[10, 10, 3, 3], vec![0.5; 900]),
        tensor("phi.0.bias", &[10], vec![0.5; 10]),
    ];
    write_safetensors(&path, &tensors, Precision::F32, Default::default()).unwrap();
    let config = scales.quantizer(30);
    config.check(25).unwrap();
    let make = |params: &Params| ScaleQuantizer::new(params, &config, [25, 10], ScaleNames::Plain);
    let (quantizer, _, _) =
        load_strict::<_, CheckpointError>(&Weights::open(&path).unwrap(), &[], &device, make).unwrap();

    let values: Vec<f32> = (0..2 * 10 * 25).map(|i| (i as f32 * 0.73).sin() * 2.0).collect();
    let latents = Tensor::<4>::from_data(TensorData::new(values, [2, 10, 5, 5]), &device);
    let whole = shared.quantize(latents, scales.sides(), &mut |_| {});
    let sums = quantizer.sums(whole.ids);
    let found: Vec<f32> = sums.last().unwrap().clone().into_data().iter().collect();
    let expected: Vec<f32> = whole.sum.reshape([2, 10, 25]).swap_dims(1, 2).into_data().iter().collect();
    assert!(furthest(&found, &expected) < 1e-5);
}
