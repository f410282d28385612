//! `tessera train` of a FlexTok, on a tiny one.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{picture, printed, refused, tessera, train};
use serde_json::{Value, json};
use tessera::layers::checkpoint::{Weights, read_config};

const SETTINGS: &str = r#"
[run]
steps = 8
batch_size = 3
seed = 5
log_every = 1
checkpoint_every = 3

[model]
architecture = "config.json"
vae = "vae"

[loss]
alignment_weight = 0.5
excess_weight = 0.5
alignment_layer = 1

[optimizer]
learning_rate = 4e-3
warmup_steps = 2
ema_decay = 0.5

[[data.sources]]
path = "pictures"
crop = "random"

[validation]
validate_every = 8
sample_pictures = 1

[validation.source]
path = "pictures"
"#;

/// A folder with settings, pictures, a trained autoencoder's stand-in, and a small configuration.
fn bench() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/flextok/tiny_rect_f4");
    fs::create_dir(at("pictures")).unwrap();
    for index in 0..4 {
        picture(&at("pictures"), &format!("{index}.png"), 30 + index, 24);
    }
    let mut vae = read_config(&recorded.join("vae/config.json")).unwrap();
    vae["sample_size"] = json!(16);
    fs::create_dir(at("vae")).unwrap();
    fs::write(at("vae/config.json"), vae.to_string()).unwrap();
    let config: Value = read_config(&recorded.join("config.json")).unwrap();
    let text = config.to_string().replace("[4,5]", "[2,2]").replace("[10]", "[6]");
    let mut config: Value = serde_json::from_str(&text).unwrap();
    for bound in ["n_min", "n_max"] {
        config["encoder"]["module_dict"]["enc_register_module"][bound] = json!(6);
    }
    fs::write(at("config.json"), config.to_string()).unwrap();
    fs::write(at("train.toml"), SETTINGS).unwrap();
    // The autoencoder, from a training of one step.
    let settings = SETTINGS.replace("vae = \"vae\"\n", "").replace("steps = 8", "steps = 1");
    let settings = settings.replace("alignment_weight = 0.5\nexcess_weight = 0.5\nalignment_layer = 1\n", "");
    fs::write(at("vae/train.toml"), settings.replace("\"pictures\"", "\"../pictures\"")).unwrap();
    printed(tessera().arg("train").arg(at("vae/train.toml")).arg("-o").arg(at("vae-run")));
    fs::copy(at("vae-run/model.safetensors"), at("vae/model.safetensors")).unwrap();
    fs::copy(at("vae-run/config.json"), at("vae/config.json")).unwrap();
    folder
}

#[test]
fn a_flextok_is_trained_goes_on_after_an_interruption_and_is_used() {
    let bench = bench();
    let folder = bench.path();
    printed(&mut train(folder, "whole"));
    // A run that ends early, as after a kill, by taking its later checkpoints away.
    printed(&mut train(folder, "cut"));
    for name in ["00000006", "00000008"] {
        let _ = fs::remove_dir_all(folder.join("cut/checkpoints").join(name));
    }
    let left: Vec<PathBuf> =
        fs::read_dir(folder.join("cut/checkpoints")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.len() <= 1, "{left:?}");
    printed(train(folder, "cut").arg("--resume"));
    let read = |run: &str| fs::read(folder.join(run).join("model.safetensors")).unwrap();
    assert_eq!(read("whole"), read("cut"), "the same bits");

    let weights = Weights::open(&folder.join("whole/model.safetensors")).unwrap();
    assert!(weights.entries().iter().all(|entry| !entry.name.starts_with("alignment")), "helpers stay behind");
    let vae = Weights::open(&folder.join("vae/model.safetensors")).unwrap();
    for entry in vae.entries() {
        let kept = weights.read_f32(&format!("vae.vae.{}", entry.name)).unwrap();
        assert_eq!(kept, vae.read_f32(&entry.name).unwrap(), "{} is frozen", entry.name);
    }
    let lines = fs::read_to_string(folder.join("whole/metrics.jsonl")).unwrap();
    assert!(lines.contains("\"flow\"") && lines.contains("\"alignment\"") && lines.contains("\"excess\""), "{lines}");

    // The weight file alone is a model: its configuration travels in it.
    let model = folder.join("whole/model.safetensors");
    fs::remove_file(folder.join("whole/config.json")).unwrap();
    let image = picture(folder, "picture.png", 40, 40);
    let out = folder.join("strip.png");
    let text = printed(tessera().arg("reconstruct").arg(&image).arg("-o").arg(&out).arg("--model").arg(&model).args([
        "--tokens",
        "1,6",
        "--variations",
        "2",
        "--steps",
        "2",
        "--guidance",
        "1+2t",
        "--apg",
        "off",
        "--json",
    ]));
    let result: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(result["reconstructions"].as_array().map(Vec::len), Some(4));
    assert!(out.is_file());
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let bench = bench();
    let folder = bench.path();
    for (arguments, says) in [
        (&["--stage", "decoder"][..], "loss.stage"),
        (&["--proxy", "x"], "model.proxy"),
        (&["--reseed-every", "5"], "codebook"),
        (&["--alignment-layer", "3"], "loss.alignment_layer"),
        (&["--alignment-weight=-1"], "loss.alignment_weight"),
        (&["--from", "x"], "model.vae"),
    ] {
        let sentence = refused(train(folder, "refused").args(arguments));
        assert!(sentence.contains(says), "{arguments:?}: {sentence}");
    }
    let text = fs::read_to_string(folder.join("train.toml")).unwrap();
    fs::write(folder.join("train.toml"), text.replace("vae = \"vae\"\n", "")).unwrap();
    let sentence = refused(&mut train(folder, "refused"));
    assert!(sentence.contains("model.vae"), "{sentence}");
}

#[test]
fn sampling_options_are_checked() {
    let bench = bench();
    let image = picture(bench.path(), "picture.png", 40, 40);
    let out = bench.path().join("out.png");
    let reconstruct = |arguments: &[&str]| {
        let mut command = tessera();
        command.arg("reconstruct").arg(&image).arg("-o").arg(&out).args(arguments);
        refused(&mut command)
    };
    // The built-in model decodes without chance.
    for arguments in [&["--steps", "3"][..], &["--guidance", "2"], &["--apg", "off"], &["--variations", "2"]] {
        let sentence = reconstruct(arguments);
        assert!(sentence.contains(arguments[0]), "{sentence}");
    }
    assert!(!out.exists());
}
