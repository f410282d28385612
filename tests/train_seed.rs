//! SEED through the program: its released layout of files, and `tessera train` of a pixel decoder on top of it.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor};
use common::{open, picture, printed, refused, tessera, train};
use serde_json::{Value, json};
use tessera::layers::checkpoint::{Weights, read_config};
use tessera::tokenizers::{Input, load_tokens};
use tessera::{DecodeOptions, DeviceChoice};

const SETTINGS: &str = r#"
[run]
steps = 6
batch_size = 3
seed = 5
log_every = 1
checkpoint_every = 3

[model]
architecture = "config.json"
from = "seed"

[optimizer]
learning_rate = 2e-3
warmup_steps = 2
ema_decay = 0.5

[codebook]
reseed_every = 2

[[data.sources]]
path = "pictures"

[validation]
validate_every = 6
sample_pictures = 1

[validation.source]
path = "pictures"
"#;

/// The recorded SEED-2 in the two files of the release.
fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/seed/seed2_pt_layout")
}

/// A folder with settings, pictures, a SEED, and the configuration of it with a pixel decoder.
fn bench(kind: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["pictures", "seed"] {
        fs::create_dir(at(name)).unwrap();
    }
    for index in 0..4 {
        picture(&at("pictures"), &format!("{index}.png"), 30 + index, 24);
    }
    for name in ["config.json", "seed_quantizer.pt", "eva_vit_g.pth"] {
        fs::copy(recorded().join(name), at("seed").join(name)).unwrap();
    }
    let seed: Value = read_config(&at("seed/config.json")).unwrap();
    let pixels =
        json!({"kind": kind, "side": 6, "patch": 2, "width": 16, "depth": 1, "heads": 2, "steps": 2, "guidance": 1.5});
    fs::write(at("config.json"), json!({"model_type": "seed_pixels", "seed": seed, "pixels": pixels}).to_string())
        .unwrap();
    fs::write(at("train.toml"), SETTINGS).unwrap();
    folder
}

#[test]
fn the_released_layout_encodes_and_says_that_it_makes_no_pictures() {
    let bench = bench("flow");
    let (seed, image) = (bench.path().join("seed"), picture(bench.path(), "picture.png", 40, 30));
    let text = printed(tessera().arg("inspect").arg(&seed).arg("--json"));
    let facts: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(facts["fits_its_config"], "yes", "{text}");
    assert!(facts["weights"].as_str().is_some_and(|files| files.contains("eva_vit_g.pth")), "{text}");
    assert!(facts["stored_as"].as_str().is_some_and(|stored| stored.contains("43 F16")), "{text}");
    let text = printed(tessera().arg("inspect").arg("--model").arg(&seed));
    assert!(text.contains("seed-2") && text.contains("ordered, 32 positions"), "{text}");

    let tokens = bench.path().join("picture.tsr");
    printed(tessera().arg("encode").arg(&image).arg("-o").arg(&tokens).arg("--model").arg(&seed));
    let out = bench.path().join("out.png");
    let said = refused(tessera().arg("decode").arg(&tokens).arg("-o").arg(&out).arg("--model").arg(&seed));
    assert!(said.contains("features") && said.contains("not to pictures") && !out.exists(), "{said}");

    let features = bench.path().join("features.safetensors");
    printed(tessera().arg("decode").arg(&tokens).arg("-o").arg(&features).arg("--model").arg(&seed));
    let features = Weights::open(&features).unwrap().entries().pop().unwrap();
    assert_eq!((features.name.as_str(), features.shape), ("features", vec![1, 1, 16]));

    fs::remove_file(seed.join("eva_vit_g.pth")).unwrap();
    let said = refused(tessera().arg("encode").arg(&image).arg("-o").arg(&tokens).arg("--model").arg(&seed));
    assert!(said.contains("eva_vit_g.pth"), "{said}");
}

#[test]
fn a_pixel_decoder_is_trained_on_a_frozen_encoder_goes_on_after_an_interruption_and_is_used() {
    for kind in ["flow", "direct"] {
        let bench = bench(kind);
        let folder = bench.path();
        printed(&mut train(folder, "whole"));
        printed(&mut train(folder, "cut"));
        fs::remove_dir_all(folder.join("cut/checkpoints/00000006")).unwrap();
        printed(train(folder, "cut").arg("--resume"));
        let read = |run: &str| fs::read(folder.join(run).join("model.safetensors")).unwrap();
        assert_eq!(read("whole"), read("cut"), "{kind}: the same bits");

        let trained = Weights::open(&folder.join("whole/model.safetensors")).unwrap();
        let seed = Weights::open(&folder.join("seed/seed_quantizer.pt")).unwrap();
        let (mut kept, mut changed) = (0, 0);
        for entry in trained.entries().iter().filter(|entry| !entry.name.starts_with("pixel_decoder.")) {
            let frozen = ["visual_encoder.", "ln_vision.", "Qformer.", "query_tokens"];
            let is_frozen = frozen.iter().any(|part| entry.name.starts_with(part));
            let same = trained.read_f32(&entry.name).unwrap() == seed.read_f32(&entry.name).unwrap();
            assert!(same || !is_frozen, "{} is frozen", entry.name);
            kept += usize::from(is_frozen);
            changed += usize::from(!same);
        }
        assert!(kept > 50 && changed > 20, "{kept} {changed}");
        let lines = fs::read_to_string(folder.join("whole/metrics.jsonl")).unwrap();
        assert!(
            lines.contains("\"pixels\"") && lines.contains("\"vq\"") && lines.contains("\"embeddings\""),
            "{lines}"
        );

        let (model, image) = (folder.join("whole"), picture(folder, "picture.png", 40, 40));
        let tokens = folder.join("picture.tsr");
        printed(tessera().arg("encode").arg(&image).arg("-o").arg(&tokens).arg("--model").arg(&model));
        for keep in ["1", "32"] {
            let out = folder.join(format!("{keep}.png"));
            let mut decode = tessera();
            decode.arg("decode").arg(&tokens).arg("-o").arg(&out).arg("--model").arg(&model).args(["--keep", keep]);
            if kind == "flow" {
                decode.args(["--steps", "3", "--guidance", "2", "--seed", "4"]);
            }
            printed(&mut decode);
            assert!(out.is_file());
        }
        let features = folder.join("features.safetensors");
        let said = refused(tessera().arg("decode").arg(&tokens).arg("-o").arg(&features).arg("--model").arg(&model));
        assert!(said.contains("decodes to pictures") && !features.exists(), "{said}");
        the_gpu_agrees(&model, &tokens);
        // A finished model goes on as it is.
        let text = SETTINGS.replace("from = \"seed\"", "from = \"whole\"");
        fs::write(folder.join("train.toml"), text.replace("steps = 6", "steps = 1")).unwrap();
        printed(&mut train(folder, "further"));
    }
}

#[test]
fn an_encoder_learns_with_its_decoder_where_that_is_asked_for() {
    let bench = bench("direct");
    let folder = bench.path();
    let mut config: Value = read_config(&folder.join("config.json")).unwrap();
    (config["pixels"]["train_encoder"], config["pixels"]["contrast"]) = (json!(true), json!(0.5));
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    printed(&mut train(folder, "whole"));
    let trained = Weights::open(&folder.join("whole/model.safetensors")).unwrap();
    let seed = Weights::open(&folder.join("seed/seed_quantizer.pt")).unwrap();
    for name in ["visual_encoder.blocks.0.attn.q_bias", "Qformer.bert.encoder.layer.0.attention.self.query.weight"] {
        assert_ne!(trained.read_f32(name).unwrap(), seed.read_f32(name).unwrap(), "{name}");
    }
    let lines = fs::read_to_string(folder.join("whole/metrics.jsonl")).unwrap();
    assert!(lines.contains("\"contrast\""), "{lines}");
}

#[test]
fn everything_learns_from_nothing_and_from_efficientnet() {
    let bench = bench("direct");
    let folder = bench.path();
    let vit = json!({"img_size": 16, "patch_size": 4, "embed_dim": 16, "depth": 1, "num_heads": 2, "mlp_ratio": 2.0});
    let qformer = json!({
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "encoder_width": 16,
    });
    let mut config = json!({
        "model_type": "seed_pixels",
        "seed": {
            "model_type": "seed2_tokenizer", "vit": vit, "qformer": qformer, "num_query_token": 8, "query_mix": "dct",
            "codebook_embed_dim": 4, "n_embed": 30, "decode_depth": 1, "decode_num_heads": 2, "image_down_dims": [4],
            "image_features_dim": 1280,
        },
        "pixels": {
            "kind": "direct", "side": 16, "patch": 4, "width": 16, "depth": 1, "heads": 2, "patch_mix": "dct",
            "train_encoder": true, "ramp": 0.0,
        },
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let settings = SETTINGS.replace("from = \"seed\"", "[loss]\nalignment_weight = 2.0");
    fs::write(folder.join("train.toml"), settings).unwrap();
    printed(&mut train(folder, "whole"));
    let lines = fs::read_to_string(folder.join("whole/metrics.jsonl")).unwrap();
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    let [features, pixels, total] = ["features", "pixels", "total"].map(|term| first["losses"][term].as_f64().unwrap());
    // Features of deviation 1, of which nothing is known yet, with their weight.
    assert!((0.5..1.6).contains(&features) && total > 2.0 * features + pixels, "{first}");

    config["seed"]["image_features_dim"] = json!(1279);
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let sentence = refused(&mut train(folder, "refused"));
    let says = ["loss.alignment_weight", "image_features_dim", "1280", "1279"];
    assert!(says.iter().all(|part| sentence.contains(part)), "{sentence}");
}

/// Compares what the CPU and a GPU make of tokens, and of a picture.
fn the_gpu_agrees(model: &Path, tokens: &Path) {
    let Some(gpu) = open(DeviceChoice::Gpu(0)) else { return };
    let tokens = load_tokens(tokens, false).unwrap().tokens;
    let [cpu, gpu] = [Device::flex(), gpu].map(|device| {
        let tokenizer = tessera::from_pretrained(&model.to_string_lossy(), &device).unwrap();
        let pictures = tokenizer.decode(&tokens, &DecodeOptions::prefix(20)).unwrap().into_images().unwrap();
        let ramp = Tensor::<1, Int>::arange(0..432, &device).float().div_scalar(432.0).reshape([1, 3, 12, 12]);
        let ids = tokenizer.encode(&Input::Images(ramp)).unwrap().ids().to_vec();
        (pictures.into_data().iter::<f32>().collect::<Vec<_>>(), ids)
    });
    let error = cpu.0.iter().zip(&gpu.0).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(error < 1e-3, "{error}");
    assert_eq!(cpu.1, gpu.1);
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let bench = bench("flow");
    let folder = bench.path();
    for (arguments, says) in [
        (&["--stage", "decoder", "--reseed-every", "0"][..], "loss.stage"),
        (&["--proxy", "x"], "model.proxy"),
        (&["--free-steps", "5"], "codebook.free_steps"),
        (&["--vae", "x"], "model.vae"),
        (&["--from", "pictures"], "pictures"),
    ] {
        let sentence = refused(train(folder, "refused").args(arguments));
        assert!(sentence.contains(says), "{arguments:?}: {sentence}");
    }
    // SEED itself has no decoder to train.
    fs::copy(folder.join("seed/config.json"), folder.join("config.json")).unwrap();
    let sentence = refused(&mut train(folder, "refused"));
    assert!(sentence.contains("SEED with pixels"), "{sentence}");
}
