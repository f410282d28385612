//! `tessera train` of a KL autoencoder, on a tiny one.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use burn::tensor::{Device, Tensor};
use common::{picture, printed, refused, tessera};
use serde_json::{Value, json};
use tessera::layers::Trace;
use tessera::layers::checkpoint::Weights;
use tessera::tokenizers::autoencoder_kl::{Posterior, from_pretrained};

struct Bench(tempfile::TempDir);

const SETTINGS: &str = r#"
[run]
steps = 12
batch_size = 3
seed = 5
log_every = 1
checkpoint_every = 4

[model]
architecture = "config.json"

[loss]
kl_weight = 1e-4
perceptual_weight = 0.01
perceptual_from = 6

[optimizer]
learning_rate = 4e-3
warmup_steps = 2

[[data.sources]]
path = "pictures"
crop = "random"

[validation]
validate_every = 6
validation_pictures = 4
sample_pictures = 2
source = { path = "pictures" }
"#;

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pictures = folder.path().join("pictures");
        fs::create_dir(&pictures).unwrap();
        for at in 0..5 {
            picture(&pictures, &format!("{at}.png"), 20 + 3 * at, 24 + at);
        }
        fs::write(folder.path().join("config.json"), architecture().to_string()).unwrap();
        fs::write(folder.path().join("train.toml"), SETTINGS).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn train(&self, out: &str, flags: &[&str]) -> Command {
        let mut command = tessera();
        command.arg("train").arg(self.path("train.toml")).arg("--out").arg(self.path(out)).args(flags);
        command
    }

    fn lines(&self, out: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(out).join("metrics.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Two levels, 2 pixels a cell.
fn architecture() -> Value {
    json!({
        "_class_name": "AutoencoderKL", "block_out_channels": [8, 16], "layers_per_block": 1, "norm_num_groups": 4,
        "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D"],
        "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D"],
        "latent_channels": 3, "sample_size": 16, "scaling_factor": null,
    })
}

#[test]
fn an_autoencoder_learns_and_its_latents_are_measured() {
    let bench = Bench::new();
    printed(&mut bench.train("out", &["--steps", "60"]));
    let lines = bench.lines("out");
    let train: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "train").collect();
    let mean = |lines: &[&Value]| {
        lines.iter().map(|line| line["losses"]["mse"].as_f64().unwrap()).sum::<f64>() / lines.len() as f64
    };
    assert!(mean(&train[50..]) < 0.3 * mean(&train[..5]), "{} then {}", mean(&train[..5]), mean(&train[50..]));
    assert!(train[0]["losses"]["kl"].as_f64().unwrap() >= 0.0 && train[0]["losses"].get("quantizer").is_none());
    assert!(train[5]["losses"].get("effd").is_none() && train[6]["losses"].get("effd").is_some());
    let judged = lines.iter().rfind(|line| line["kind"] == "validation").unwrap();
    assert_eq!(judged["psnr"][0][0], 64, "one row for all of its 8 x 8 latent cells");
    assert!(judged["psnr"][0][1].as_f64().unwrap() > 12.0, "{judged}");

    let (network, config) = from_pretrained(&bench.path("out").to_string_lossy(), &Device::flex()).unwrap();
    let scale = config.scaling_factor.unwrap();
    assert!(scale.is_finite() && scale > 0.0, "{scale}");
    let image = Tensor::<4>::zeros([1, 3, 16, 16], &Device::flex());
    let posterior = Posterior::new(network.moments(image, &mut Trace::none()));
    assert_eq!(network.decode(posterior.mean, &mut Trace::none()).dims(), [1, 3, 16, 16]);
}

#[test]
fn a_run_that_stopped_at_a_checkpoint_resumes_to_the_same_bits() {
    let bench = Bench::new();
    printed(&mut bench.train("whole", &[]));
    printed(&mut bench.train("resumed", &[]));
    fs::remove_dir_all(bench.path("resumed/checkpoints/00000012")).unwrap();
    printed(&mut bench.train("resumed", &["--resume"]));
    for file in ["model.safetensors", "config.json"] {
        let read = |out: &str| fs::read(bench.path(out).join(file)).unwrap();
        assert!(read("whole") == read("resumed"), "{file}");
    }
}

#[test]
fn a_training_starts_from_weights() {
    let bench = Bench::new();
    printed(&mut bench.train("first", &["--steps", "4"]));
    let from = bench.path("first");
    printed(&mut bench.train("second", &["--steps", "1", "--learning-rate", "0", "--from", from.to_str().unwrap()]));
    let values = |out: &str| {
        let weights = Weights::open(&bench.path(out).join("model.safetensors")).unwrap();
        weights.read_f32("encoder.conv_in.weight").unwrap()
    };
    assert_eq!(values("first"), values("second"));
}

#[test]
fn settings_that_an_autoencoder_has_no_use_for_are_refused() {
    let bench = Bench::new();
    for (flags, key) in [
        (["--stage", "decoder"], "loss.stage"),
        (["--proxy", "somewhere"], "model.proxy"),
        (["--vae", "somewhere"], "model.vae"),
        (["--free-steps", "3"], "codebook"),
        (["--reseed-every", "3"], "codebook"),
    ] {
        let error = refused(&mut bench.train("out", &flags));
        assert!(error.contains(key) && error.contains("AutoencoderKL"), "{error}");
    }
    let mut odd = architecture();
    odd["sample_size"] = json!(17);
    fs::write(bench.path("config.json"), odd.to_string()).unwrap();
    let error = refused(&mut bench.train("out", &[]));
    assert!(error.contains("sample_size") && error.contains("17"), "{error}");
}
