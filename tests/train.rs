//! `tessera train`, on tiny models.

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{open, picture, printed, refused, tessera};
use serde_json::{Value, json};
use tessera::DeviceChoice;
use tessera::layers::checkpoint::Weights;
use tessera::tokenizers::{DecodeOptions, Input, ModelConfig};
use tessera::train::{TrainConfig, train};

/// A folder with pictures, a tiny architecture, and settings that use every part of the trainer.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pictures = folder.path().join("pictures");
        fs::create_dir(&pictures).unwrap();
        for at in 0..6 {
            picture(&pictures, &format!("{at}.png"), 20 + 3 * at, 24 + at);
        }
        let bench = Self(folder);
        bench.write("config.json", &architecture(false, false).to_string());
        bench.write("train.toml", SETTINGS);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn train(&self, out: &str, flags: &[&str]) -> Command {
        let mut command = tessera();
        command.arg("train").arg(self.path("train.toml")).arg("--out").arg(self.path(out)).args(flags);
        command
    }
}

const SETTINGS: &str = r#"
[run]
steps = 10
batch_size = 3
accumulate = 2
seed = 5
log_every = 1
checkpoint_every = 2

[model]
architecture = "config.json"
start = "narrow"

[loss]
perceptual_weight = 0.01
perceptual_from = 6
adversarial_weight = 0.1
adversarial_from = 4
discriminator_width = 32

[optimizer]
learning_rate = 2e-3
warmup_steps = 3

[codebook]
free_steps = 2
reseed_every = 3
reseed_until = 9

[[data.sources]]
path = "pictures"
crop = "random"
flip = true

[validation]
validate_every = 5
validation_pictures = 4
sample_pictures = 2
source = { path = "pictures" }
"#;

fn architecture(is_legacy: bool, has_pixels: bool) -> Value {
    json!({
        "model": { "type": "one_d_piece", "vq_model": {
            "codebook_size": 32, "token_size": 6, "use_l2_norm": true, "commitment_cost": 0.25,
            "vit_enc_model_size": "small", "vit_dec_model_size": "small",
            "vit_enc_patch_size": 8, "vit_dec_patch_size": 8, "num_latent_tokens": 4,
            "finetune_decoder": has_pixels, "is_legacy": is_legacy, "strict_length_assertion": false,
            "vit_enc_width": 32, "vit_enc_layers": 1, "vit_enc_heads": 2,
            "vit_dec_width": 32, "vit_dec_layers": 1, "vit_dec_heads": 2,
            "proxy_codebook_size": 16, "proxy_embedding_dim": 32,
            "pixel_decoder": proxy(),
        } },
        "dataset": { "preprocessing": { "crop_size": 16 } },
    })
}

/// An 8x MaskGIT-VQGAN.
fn proxy() -> Value {
    json!({ "hidden_channels": 32, "channel_mult": [1, 1, 1, 1], "num_resolutions": 4, "num_res_blocks": 1, "z_channels": 32 })
}

/// All files of the last checkpoint, by name, but for the seconds that it took.
fn last_checkpoint(out: &Path) -> Vec<(String, Vec<u8>)> {
    let folder = fs::read_dir(out.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let bytes = fs::read(&path).unwrap();
            if name != "state.json" {
                return (name, bytes);
            }
            let mut state: Value = serde_json::from_slice(&bytes).unwrap();
            state["seconds"] = Value::Null;
            (name, state.to_string().into_bytes())
        })
        .collect();
    files.sort();
    files
}

fn lines(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_killed_run_resumes_to_the_same_bits() {
    let bench = Bench::new();
    printed(&mut bench.train("whole", &[]));
    let expected = last_checkpoint(&bench.path("whole"));
    assert_eq!(expected.len(), 6, "a checkpoint holds weights, average, optimisers, discriminator and state");

    for killed_after in ["step      3", "step      7"] {
        let mut child = bench.train("killed", &[]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        stderr.lines().map_while(Result::ok).find(|line| line.starts_with(killed_after)).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        // What a kill in the middle of a checkpoint leaves behind.
        fs::create_dir_all(bench.path("killed/checkpoints/unfinished")).unwrap();
        fs::write(bench.path("killed/checkpoints/unfinished/model.safetensors"), "half").unwrap();
        printed(&mut bench.train("killed", &["--resume"]));
        for ((name, whole), (other, resumed)) in expected.iter().zip(last_checkpoint(&bench.path("killed"))) {
            assert_eq!(*name, other);
            assert!(*whole == resumed, "{name} differs after a kill at {killed_after}");
        }
        let model = |out: &str| fs::read(bench.path(out).join("model.safetensors")).unwrap();
        assert!(model("whole") == model("killed"));
        let steps = |out: &str| lines(&bench.path(out)).iter().map(|line| line["step"].clone()).collect::<Vec<_>>();
        assert_eq!(steps("whole"), steps("killed"), "every line is there once");
        fs::remove_dir_all(bench.path("killed")).unwrap();
    }
}

#[test]
fn the_gpu_trains_as_the_cpu_does() {
    let bench = Bench::new();
    let plain = SETTINGS.replace("perceptual_weight = 0.01", "").replace("adversarial_weight = 0.1", "");
    bench.write("train.toml", &plain.replace("steps = 10", "steps = 4"));
    let config = TrainConfig::read(&bench.path("train.toml")).unwrap();
    let losses = |device: DeviceChoice| {
        let device = open(device)?;
        let out = bench.path("run");
        train(&config, &out, &device, false, &mut |_| ControlFlow::Continue(())).unwrap();
        let lines = lines(&out);
        fs::remove_dir_all(out).unwrap();
        let train = lines.iter().filter(|line| line["kind"] == "train");
        Some(train.map(|line| line["losses"]["total"].as_f64().unwrap()).collect::<Vec<_>>())
    };
    let (Some(cpu), Some(gpu)) = (losses(DeviceChoice::Cpu), losses(DeviceChoice::Gpu(0))) else { return };
    assert_eq!(cpu.len(), 4);
    assert!(cpu.iter().zip(&gpu).all(|(cpu, gpu)| (cpu - gpu).abs() < 1e-4 * cpu), "{cpu:?} {gpu:?}");
}

#[test]
fn a_run_writes_model_metrics_samples_and_report() {
    let bench = Bench::new();
    let text =
        printed(&mut bench.train("out", &["--steps", "40", "--learning-rate", "4e-3", "--adversarial-weight", "0"]));
    assert!(text.contains("validation PSNR"), "{text}");
    let out = bench.path("out");
    let lines = lines(&out);
    let mse = |line: &Value| line["losses"]["mse"].as_f64().unwrap();
    let train: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "train").collect();
    assert_eq!(train.len(), 40);
    let mean = |lines: &[&Value]| lines.iter().map(|line| mse(line)).sum::<f64>() / lines.len() as f64;
    assert!(mean(&train[35..]) < 0.5 * mean(&train[..5]), "{} then {}", mean(&train[..5]), mean(&train[35..]));
    assert!(train[0]["losses"].get("quantizer").is_none() && train[2]["losses"].get("quantizer").is_some());
    assert!(train[5]["losses"].get("effd").is_none() && train[6]["losses"].get("effd").is_some());
    let judged: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "validation").collect();
    assert_eq!(judged.len(), 8);
    assert_eq!(judged[0]["psnr"].as_array().unwrap().len(), 3, "1, 2 and 4 tokens");

    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("<svg") && report.contains("data:image/png;base64,"));
    assert!(!report.contains("src=\"http") && !report.contains("<script src"));
    assert!(fs::read(out.join("samples/00000040.png")).unwrap().starts_with(b"\x89PNG"));

    let device = burn::tensor::Device::flex();
    let tokenizer = tessera::from_pretrained(&out.to_string_lossy(), &device).unwrap();
    let image = burn::tensor::Tensor::<4>::zeros([1, 3, 16, 16], &device);
    let tokens = tokenizer.encode(&Input::Images(image)).unwrap();
    assert!(tokenizer.decode(&tokens, &DecodeOptions::prefix(2)).is_ok());
}

#[test]
fn both_stages_of_two_stage_models_train_what_they_should() {
    let bench = Bench::new();
    let vqgan = json!({ "vqgan": proxy(), "num_embeddings": 16 });
    fs::create_dir(bench.path("proxy")).unwrap();
    bench.write("proxy/config.json", &vqgan.to_string());
    let model = ModelConfig::from_value(&vqgan).unwrap();
    model.write_random(3, &bench.path("proxy/model.safetensors")).unwrap();
    let values = |folder: &str, name: &str| {
        Weights::open(&bench.path(folder).join("model.safetensors")).unwrap().read_f32(name).unwrap()
    };

    bench.write("config.json", &architecture(true, false).to_string());
    let proxy = bench.path("proxy");
    let first = ["--steps", "4", "--stage", "proxy", "--free-steps", "0", "--proxy", proxy.to_str().unwrap()];
    printed(&mut bench.train("first", &first));
    let losses = &lines(&bench.path("first"))[3]["losses"];
    assert!(losses["cross_entropy"].as_f64().unwrap() < 3.5 && losses.get("adversarial").is_none(), "{losses}");

    bench.write("config.json", &architecture(true, true).to_string());
    let from = bench.path("first");
    let second = [
        "--steps",
        "6",
        "--stage",
        "decoder",
        "--free-steps",
        "0",
        "--reseed-every",
        "0",
        "--from",
        from.to_str().unwrap(),
        "--proxy",
        proxy.to_str().unwrap(),
    ];
    printed(&mut bench.train("second", &second));
    for name in ["encoder.patch_embed.weight", "latent_tokens", "quantize.embedding.weight"] {
        assert!(values("second", name) == values("first", name), "{name} is frozen in the second stage");
    }
    assert!(values("second", "decoder.mask_token") != values("first", "decoder.mask_token"));
    for name in ["decoder.conv_out.weight", "quantize.embedding.weight"] {
        let (learnt, start) = (values("second", &format!("pixel_{name}")), values("proxy", name));
        let distance = learnt.iter().zip(&start).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(distance > 0.0 && distance < 0.02, "{name} starts from the proxy's and learns: {distance}");
    }
    let last = lines(&bench.path("second")).into_iter().rfind(|line| line["kind"] == "train").unwrap();
    assert!(last["losses"].get("discriminator").is_some() && last["losses"].get("adversarial").is_some());
}

#[test]
fn the_settings_in_the_repository_are_understood_and_the_example_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in [
        "models/one-d-piece-tiny-64/train.toml",
        "models/one-d-piece-tiny-64/finetune.toml",
        "models/next-token-tiny-64/train.toml",
        "models/seed-tiny/train.toml",
        "models/dualtoken-tiny/train.toml",
        "models/llamagen-vq-tiny-64/train.toml",
        "models/nar-tiny-64/train.toml",
        "models/xar-tiny-64/train.toml",
    ] {
        let path = root.join(file);
        assert!(printed(tessera().arg("train").arg(path).arg("--print-config")).contains("[validation.source]"));
    }
    for file in ["models/vat-tiny/train.toml", "models/next-scale-tiny/train.toml"] {
        let path = root.join(file);
        assert!(printed(tessera().arg("train").arg(path).arg("--print-config")).contains("[shape]"));
    }
    let codec = root.join("models/patch-dct-8");
    assert!(matches!(
        tessera::tokenizers::Pretrained::open(&codec.to_string_lossy(), &burn::tensor::Device::flex()),
        Ok(tessera::tokenizers::Pretrained::Latents(codec)) if codec.info().channels == 56
    ));
    let out = tempfile::tempdir().unwrap();
    let mut command = tessera();
    command.arg("train").arg(root.join("examples/train.toml")).args(["--steps", "2", "--out"]).arg(out.path());
    assert!(printed(&mut command).contains("validation PSNR"));
}

#[test]
fn settings_print_as_a_file_that_means_the_same() {
    let bench = Bench::new();
    let text = printed(tessera().arg("train").arg(bench.path("train.toml")).args([
        "--print-config",
        "--beta-1",
        "0.8",
        "--strict",
        "--data",
        "elsewhere",
        "--data",
        "{path = \"more\", crop = \"random\", weight = 2.0}",
        "--seed",
        "77",
    ]));
    assert!(text.contains("beta_1 = 0.8") && text.contains("strict = true") && text.contains("seed = 77"), "{text}");
    assert!(text.contains("elsewhere") && text.contains("weight = 2.0"), "{text}");
    bench.write("again.toml", &text);
    let again = printed(tessera().arg("train").arg(bench.path("again.toml")).arg("--print-config"));
    let without_paths = |text: &str| {
        text.lines()
            .filter(|line| !line.contains("path") && !line.contains("architecture"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(without_paths(&text), without_paths(&again));
    let defaults = printed(tessera().args(["train", "--print-config"]));
    assert!(defaults.contains("ema_decay = 0.999"), "{defaults}");
}

#[test]
fn wrong_settings_and_folders_are_refused_in_a_sentence() {
    let bench = Bench::new();
    let error = refused(&mut bench.train("out", &["--learning-rate=-1"]));
    assert!(error.contains("optimizer.learning_rate") && error.contains("from 0 up"), "{error}");
    let error = refused(&mut bench.train("out", &["--stage", "proxy"]));
    assert!(error.contains("codebook.free_steps"), "{error}");
    let error = refused(&mut bench.train("out", &["--stage", "proxy", "--free-steps", "0"]));
    assert!(error.contains("loss.stage"), "{error}");
    let error = refused(&mut bench.train("out", &["--proxy", "somewhere"]));
    assert!(error.contains("model.proxy") && error.contains("somewhere"), "{error}");
    let error = refused(&mut bench.train("out", &["--vae", "somewhere"]));
    assert!(error.contains("model.vae"), "{error}");
    let error = refused(&mut bench.train("out", &["--architecture", "no-such-model"]));
    assert!(error.contains("no-such-model"), "{error}");
    let error = refused(&mut bench.train("out", &["--data", "no-such-folder"]));
    assert!(error.contains("no-such-folder"), "{error}");

    printed(&mut bench.train("out", &["--steps", "1"]));
    let error = refused(&mut bench.train("out", &["--steps", "1"]));
    assert!(error.contains("--resume"), "{error}");
    let error = refused(&mut bench.train("out", &["--steps", "2", "--resume"]));
    assert!(error.contains("other settings"), "{error}");

    bench.write("train.toml", &SETTINGS.replace("batch_size", "bach_size"));
    let error = refused(&mut bench.train("other", &[]));
    assert!(error.contains("bach_size") && error.contains("train.toml"), "{error}");
}

#[test]
fn a_corrupt_picture_is_named_and_passed_over_or_fatal() {
    let bench = Bench::new();
    bench.write("pictures/broken.png", "no picture at all");
    let text =
        printed(&mut bench.train("out", &["--steps", "6", "--adversarial-weight", "0", "--perceptual-weight", "0"]));
    assert!(text.contains("broken.png"), "{text}");
    let error = refused(&mut bench.train("strict", &["--steps", "6", "--strict", "--quiet"]));
    assert!(error.contains("broken.png"), "{error}");
}
