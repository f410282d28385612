//! DualToken and residual quantizers beyond their recorded case.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tessera_layers::ParamSource;
use tessera_layers::checkpoint::{Weights, save_module};
use tessera_tokenizers::dualtoken::{self, DualToken, DualTokenConfig, SemanticFeatures, losses};
use tessera_tokenizers::quantizers::{ResidualQuantizer, ResidualSizes, ResidualUpdate, Restart, UpdateForm};
use tessera_tokenizers::{
    ConfigError, DecodeOptions, Input, Latents, ModelConfig, TokenFile, TokenLayout, Tokenizer as _, TokenizerError,
    load_tokens, save_tokens,
};

/// A tiny model's document.
fn document() -> Value {
    let quantizer = |kind: &str, depth: usize, channels: usize, codes: usize| {
        json!({
            "bottleneck_type": kind, "code_shape": [4, 4, depth], "latent_shape": [4, 4, channels], "embed_dim": channels,
            "n_embed": codes, "decay": 0.99, "restart_unused_codes": true, "shared_codebook": true,
        })
    };
    json!({
        "model_type": "rqvaesigliptransformer_model", "hidden_size": 32,
        "rqvaesiglip": {
            "hidden_size": 32, "layer_recon": 1, "layer_sem": 2, "layer_shortcut": 1, "weight_shortcut": 0.6,
            "ddconfig": {
                "ch": 32, "ch_mult": [1, 1], "num_res_blocks": 1, "attn_resolutions": [4], "resolution": 8,
                "decoder_in_channels": 32, "out_ch": 3,
            },
            "decoder_latent_shape": [4, 4],
            "vq_sem": quantizer("rq_ema", 2, 8, 20), "vq_pix": quantizer("rq", 3, 16, 30),
        },
        "siglip_config": {
            "vision_config": {
                "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 3, "num_attention_heads": 2,
                "image_size": 8, "patch_size": 2,
            },
            "text_config": {
                "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 1, "num_attention_heads": 2,
                "vocab_size": 11, "max_position_embeddings": 5,
            },
        },
    })
}

/// The document with other values at these pointers.
fn changed(changes: &[(&str, Value)]) -> Value {
    let mut document = document();
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    document
}

fn config() -> DualTokenConfig {
    DualTokenConfig::from_value(&changed(&[])).unwrap()
}

fn model() -> DualToken {
    dualtoken::random(&config(), 5, &Device::flex()).unwrap().0
}

fn images(count: usize) -> Tensor<4> {
    let values = (0..count * 3 * 64).map(|i| (i as f32 * 0.37).sin() * 0.5 + 0.5).collect();
    Tensor::from_data(TensorData::new::<f32, _>(values, [count, 3, 8, 8]), &Device::flex())
}

fn floats<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().iter().collect()
}

#[test]
fn a_position_holds_the_codes_of_both_vocabularies_each_with_a_name() {
    let tokenizer = model();
    let tokens = tokenizer.encode(&Input::Images(images(2))).unwrap();
    assert_eq!(*tokens.layout(), TokenLayout::Grid { height: 4, width: 4 });
    assert_eq!(tokens.vocab(), [30, 30, 30, 20, 20]);
    assert_eq!(tokenizer.depth_names(), ["pixel 1", "pixel 2", "pixel 3", "semantic 1", "semantic 2"]);
    assert_eq!(tokenizer.embed(&tokens).unwrap().vectors.dims(), [2, 16, 16 + 8]);
    let [pixel, semantic] = tokenizer.embeddings_by_depth(&tokens).unwrap();
    assert_eq!((pixel.dims(), semantic.dims()), ([2, 16, 3, 16], [2, 16, 2, 8]));
    let features = tokenizer.semantic_features(&tokens).unwrap();
    assert_eq!((features.hidden.dims(), features.pooled.dims()), ([2, 16, 32], [2, 32]));
}

#[test]
fn pictures_are_decoded_from_pixel_codes_alone_and_from_all_of_them() {
    let tokenizer = model();
    let tokens = tokenizer.encode(&Input::Images(images(1))).unwrap();
    let decode = |ids: Vec<u32>| {
        let tokens = tessera_tokenizers::Tokens::new(
            ids,
            1,
            tokens.layout().clone(),
            tokens.vocab().to_vec(),
            tokens.fingerprint(),
        );
        floats(tokenizer.decode(&tokens.unwrap(), &DecodeOptions::default()).unwrap().into_images().unwrap())
    };
    let with = |depth: usize| {
        tokens.ids().iter().enumerate().map(move |(at, &id)| if at % 5 == depth { (id + 1) % 20 } else { id })
    };
    let whole = decode(tokens.ids().to_vec());
    assert_ne!(decode(with(2).collect()), whole);
    assert_eq!(decode(with(3).collect()), whole);
    let part = tokenizer.decode(&tokens, &DecodeOptions::prefix(3));
    assert!(matches!(part, Err(TokenizerError::Input { .. })));
}

#[test]
fn tokens_survive_their_files() {
    let tokens = model().encode(&Input::Images(images(2))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in ["tokens.tsr", "tokens.safetensors"] {
        let path = folder.path().join(name);
        save_tokens(&path, &TokenFile::new(tokens.clone())).unwrap();
        assert_eq!(load_tokens(&path, false).unwrap().tokens, tokens, "{name}");
    }
}

#[test]
fn a_checkpoint_survives_being_written_and_has_older_names() {
    let device = Device::flex();
    let (model, specs) = dualtoken::random(&config(), 5, &device).unwrap();
    let tokens = model.encode(&Input::Images(images(1))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    dualtoken::save(model.network(), &specs, &path).unwrap();
    let weights = Weights::open(&path).unwrap();
    let table = |depth: usize| weights.read_f32(&format!("quantizer_pix.codebooks.{depth}.weight")).unwrap();
    assert_eq!(table(0), table(2)); // one table under every depth
    let open = |path| dualtoken::load(&config(), &Weights::open(path).unwrap(), &device).unwrap().0;
    let again = open(&path);
    assert_eq!(again.encode(&Input::Images(images(1))).unwrap().ids(), tokens.ids());

    let mut old = specs.clone();
    for spec in &mut old {
        spec.name = spec.name.replace("_sem.", "_semantic.").replace("_pix.", "_pixel.");
    }
    let path = folder.path().join("old.safetensors");
    save_module(model.network(), &old, &path, Default::default()).unwrap();
    let old = open(&path);
    assert_eq!(old.encode(&Input::Images(images(1))).unwrap(), again.encode(&Input::Images(images(1))).unwrap());
}

#[test]
fn bad_configurations_are_refused_by_key() {
    for (key, pointer, value) in [
        ("hidden_size", "/hidden_size", json!(64)),
        ("rqvaesiglip.hidden_size", "/rqvaesiglip/hidden_size", json!(64)),
        ("rqvaesiglip.layer_sem", "/rqvaesiglip/layer_sem", json!(4)),
        ("rqvaesiglip.layer_recon", "/rqvaesiglip/layer_recon", json!(3)),
        ("rqvaesiglip.layer_shortcut", "/rqvaesiglip/layer_shortcut", json!(0)),
        ("rqvaesiglip.vq_pix.latent_shape", "/rqvaesiglip/vq_pix/latent_shape", json!([3, 4, 16])),
        ("rqvaesiglip.vq_pix.code_shape", "/rqvaesiglip/vq_pix/code_shape", json!([4, 3, 3])),
        ("rqvaesiglip.vq_sem.code_shape", "/rqvaesiglip/vq_sem/code_shape", json!([2, 2, 3])),
        ("rqvaesiglip.vq_sem.n_embed", "/rqvaesiglip/vq_sem/n_embed", json!([20, 20])),
        ("rqvaesiglip.vq_sem.decay", "/rqvaesiglip/vq_sem/decay", json!(1.5)),
        ("rqvaesiglip.ddconfig.ch_mult", "/rqvaesiglip/ddconfig/ch", json!(20)),
        ("rqvaesiglip.decoder_latent_shape", "/rqvaesiglip/decoder_latent_shape", json!([5, 4])),
        ("siglip_config.vision_config.hidden_act", "/siglip_config/vision_config/hidden_act", json!("relu")),
        ("siglip_config.text_config.num_attention_heads", "/siglip_config/text_config/num_attention_heads", json!(5)),
        ("(whole file)", "/rqvaesiglip/vq_pix/bottleneck_type", json!("vq")),
    ] {
        match ModelConfig::from_value(&changed(&[(pointer, value)])) {
            Err(ConfigError::Invalid { key: found, .. }) => assert_eq!(found, key),
            other => panic!("{key}: {other:?}"),
        }
    }
    let mut nameless = document();
    nameless.as_object_mut().unwrap().remove("siglip_config");
    let error = DualTokenConfig::from_value(&nameless).unwrap_err();
    assert!(error.to_string().contains("rqvaesiglip.pretrained_model"), "{error}");
    // Without a shortcut, with codebooks for each depth, and under the older names.
    let free = changed(&[
        ("/rqvaesiglip/layer_shortcut", json!(null)),
        ("/rqvaesiglip/vq_pix/shared_codebook", json!(false)),
        ("/rqvaesiglip/vq_pix/n_embed", json!([30, 20, 10])),
    ]);
    let model = dualtoken::random(&DualTokenConfig::from_value(&free).unwrap(), 1, &Device::flex()).unwrap().0;
    assert_eq!(model.info().vocab, [30, 20, 10, 20, 20]);
    assert!(model.encode(&Input::Images(images(1))).is_ok());
}

const CODES: usize = 12;

fn quantizer(is_shared: bool, fold: usize) -> ResidualQuantizer {
    let sizes = ResidualSizes { latent: [4, 4, 3], code: [4 / fold, 4 / fold, 3], codes: vec![CODES; 3], is_shared };
    let source = ParamSource::seeded(2, &Device::flex());
    let mut quantizer = ResidualQuantizer::new(&source.root(), &sizes).unwrap();
    quantizer.start_averages();
    quantizer
}

fn latents() -> Tensor<4> {
    let values = (0..2 * 16 * 3).map(|i| (i as f32 * 0.61).sin() * 2.0).collect();
    Tensor::from_data(TensorData::new::<f32, _>(values, [2, 4, 4, 3]), &Device::flex())
}

#[test]
fn depths_code_what_is_left_over_and_padding_is_no_code() {
    for (is_shared, fold) in [(true, 1), (false, 1), (false, 2), (true, 4)] {
        let quantizer = quantizer(is_shared, fold);
        let found = quantizer.forward(latents());
        assert_eq!(found.codes.dims(), [2, 4 / fold, 4 / fold, 3]);
        assert!(found.codes.clone().into_data().iter::<i64>().all(|code| (0..CODES as i64).contains(&code)));
        let sum = floats(quantizer.vectors(found.codes.clone()));
        let vectors = floats(found.vectors);
        assert!(sum.iter().zip(&vectors).all(|(a, b)| (a - b).abs() < 1e-5));
        let by_depth = quantizer.vectors_by_depth(found.codes);
        assert_eq!(by_depth.dims(), [2, 4 / fold, 4 / fold, 3, 3 * fold * fold]);
    }
}

fn moved(form: UpdateForm, is_shared: bool, restart: Restart) -> (ResidualQuantizer, Tensor<4, Int>) {
    let mut quantizer = quantizer(is_shared, 1);
    let update = ResidualUpdate { form, decay: vec![0.5; 3], restart };
    let found = quantizer.forward_and_update(latents(), &update, &mut ChaCha8Rng::seed_from_u64(4));
    (quantizer, found.codes)
}

#[test]
fn averages_move_codes_to_what_chose_them() {
    let (quantizer, codes) = moved(UpdateForm::AllDepths, true, Restart::Off);
    let (_, sizes, _) = quantizer.tables(0).unwrap();
    let total: f32 = floats(sizes.clone()).iter().sum();
    assert!((total - 0.5 * 32.0 * 3.0).abs() < 1e-3, "{total}"); // half of what was chosen, of nothing before
    let mut counts = [0.0; CODES];
    codes.into_data().iter::<i64>().for_each(|code| counts[code as usize] += 0.5);
    assert!(floats(sizes).iter().zip(counts).all(|(a, b)| (a - b).abs() < 1e-4));

    // The released form moves codes elsewhere; single depths with tables of their own differ from both.
    let weight = |form, is_shared| floats(moved(form, is_shared, Restart::Off).0.tables(0).unwrap().0);
    let intended = weight(UpdateForm::AllDepths, true);
    assert_ne!(intended, weight(UpdateForm::AllDepthsReleased, true));
    assert_ne!(intended, weight(UpdateForm::EachDepth, true));
    // Depths that share nothing do not see each other's updates, so that their order is of no matter.
    assert_eq!(weight(UpdateForm::AllDepths, false), weight(UpdateForm::EachDepth, false));
    // All repeats of a shared table are one.
    let tables: Vec<Vec<f32>> = (0..3).map(|depth| floats(quantizer.tables(depth).unwrap().0)).collect();
    assert!(tables[0] == tables[1] && tables[1] == tables[2]);
}

#[test]
fn unused_codes_start_anew_at_vectors_of_the_batch() {
    let (stayed, _) = moved(UpdateForm::AllDepths, false, Restart::Off);
    let (restarted, _) = moved(UpdateForm::AllDepths, false, Restart::Unused);
    let sizes = |quantizer: &ResidualQuantizer| floats(quantizer.tables(0).unwrap().1);
    assert!(sizes(&stayed).iter().any(|size| *size < 1.0));
    assert!(sizes(&restarted).iter().all(|size| *size >= 1.0));
    // A code that was started anew is a latent: the first depth's residuals are the latents themselves.
    let rows = floats(latents());
    let (_, before, _) = stayed.tables(0).unwrap();
    let (_, _, sums) = restarted.tables(0).unwrap();
    let before = floats(before);
    for (code, sum) in floats(sums).chunks(3).enumerate().filter(|(code, _)| before[*code] < 1.0) {
        assert!(rows.chunks(3).any(|row| row == sum), "{code}: {sum:?}");
    }
}

#[test]
fn vectors_become_the_codes_that_encoding_finds_for_them() {
    let device = Device::flex();
    let (model, _) = dualtoken::random(&config(), 5, &device).unwrap();
    let layout = model.info().layout.clone();
    let vectors = model.embed(&model.encode(&Input::Images(images(2))).unwrap()).unwrap().vectors;
    let found = model.nearest(&Latents { vectors: vectors.clone(), layout: layout.clone() }).unwrap();
    let grid = vectors.clone().reshape([2, 4, 4, 24]);
    let network = model.network();
    let pixel = network.pixel_quantizer().forward(grid.clone().narrow(3, 0, 16)).codes;
    let semantic = network.semantic_quantizer().forward(grid.narrow(3, 16, 8)).codes;
    let codes: Vec<u32> = Tensor::cat(vec![pixel, semantic], 3).into_data().iter().collect();
    assert_eq!((found.ids(), found.vocab()), (&codes[..], &[30, 30, 30, 20, 20][..]));
    // Nearer than nothing: every depth takes something away.
    let left = (model.embed(&found).unwrap().vectors - vectors.clone()).square().mean().into_scalar::<f32>();
    assert!(left < vectors.clone().square().mean().into_scalar::<f32>(), "{left}");
    let narrow = Latents { vectors: vectors.narrow(2, 0, 20), layout };
    assert!(model.nearest(&narrow).unwrap_err().to_string().contains("24 channels"));
}

#[test]
fn losses_send_gradients_through_both_vocabularies() {
    let device = Device::flex().autodiff();
    let (model, specs) = dualtoken::random(&config(), 5, &device).unwrap();
    let network = model.into_network();
    let teacher = SemanticFeatures {
        hidden: Tensor::<3>::ones([2, 16, 32], &device),
        pooled: Tensor::<2>::ones([2, 32], &device),
    };
    let mut tables = [network.pixel_quantizer().clone(), network.semantic_quantizer().clone()];
    let inner = config().rqvaesiglip;
    let updates = [inner.vq_pix.update(false), inner.vq_sem.update(false)];
    assert_eq!(updates.clone().map(|update| update.form), [UpdateForm::EachDepth, UpdateForm::AllDepths]);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let found = losses(&network, images(2).autodiff(), Some(&teacher), &mut |kind, latents| {
        tables[kind].forward_and_update(latents, &updates[kind], &mut rng)
    });
    let targets = images(2).autodiff().mul_scalar(2.0).sub_scalar(1.0);
    let error = |pixels: Tensor<4>| (pixels - targets).square().mean();
    let of_last: Vec<f32> =
        network.last_layer().weight_gradient(found.pixel_features, error).unwrap().into_data().iter().collect();
    let gradients = found.terms.total(1.0).backward();
    let [pixel, semantic, last] = ["prequant_pix.proj.weight", "prequant_sem.proj.weight", "decoder.conv_out.weight"]
        .map(|name| gradient_of(&network, specs.iter().find(|spec| spec.name == name).unwrap().id, &gradients));
    assert!([pixel, semantic].iter().all(|gradient| gradient.iter().any(|&value| value != 0.0)));
    // Pixels count five times; nothing else depends on the last layer.
    let largest = last.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let apart = last.iter().zip(&of_last).fold(0.0_f32, |most, (all, one)| most.max((all - 5.0 * one).abs()));
    assert!(largest > 0.0 && last.len() == of_last.len() && apart < 1e-4 * largest, "{apart} of {largest}");
    assert_ne!(floats(tables[0].tables(0).unwrap().0), floats(network.pixel_quantizer().tables(0).unwrap().0));
}

/// The gradient of a parameter, flat; empty if there is none.
fn gradient_of<M: burn::module::Module>(
    module: &M,
    id: burn::module::ParamId,
    gradients: &burn::tensor::Gradients,
) -> Vec<f32> {
    struct Finder<'a> {
        id: burn::module::ParamId,
        gradients: &'a burn::tensor::Gradients,
        found: Vec<f32>,
    }
    impl burn::module::ModuleVisitor for Finder<'_> {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            if param.id == self.id
                && let Some(gradient) = param.val().grad(self.gradients)
            {
                self.found = gradient.into_data().iter().collect();
            }
        }
    }
    let mut finder = Finder { id, gradients, found: Vec::new() };
    module.visit(&mut finder);
    finder.found
}
