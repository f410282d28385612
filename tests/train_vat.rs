//! `tessera train` of a VAT, the tokenizer of shapes.

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use burn::tensor::{Device, Tensor, TensorData};
use common::{lines, open, printed, refused, tessera, tiny};
use serde_json::{Value, json};
use tessera::datasets::shape::{Solid, save_mesh};
use tessera::datasets::{LoadOptions, Picture, load_picture};
use tessera::layers::checkpoint::{Weights, read_config};
use tessera::tokenizers::{Input, Output};
use tessera::train::{ShapeStage, TrainConfig, train as train_on};
use tessera::{DecodeOptions, DeviceChoice};

const SETTINGS: &str = r#"
[run]
steps = 4
batch_size = 2
seed = 5
log_every = 1
checkpoint_every = 2

[model]
architecture = "architecture.json"

[optimizer]
learning_rate = 2e-3
warmup_steps = 1
ema_decay = 0.5

[shape]
points = 24
volume_queries = 30
near_queries = 20
lattice = 17
validation_places = 200
sample_lattice = 12

[validation]
validate_every = 4
validation_pictures = 3
sample_pictures = 2
"#;

/// A folder with settings and a tiny architecture.
fn bench() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let architecture = tiny::vat(&[1, 2, 4], 4, 8);
    fs::write(folder.path().join("architecture.json"), architecture.to_string()).unwrap();
    fs::write(folder.path().join("train.toml"), SETTINGS).unwrap();
    folder
}

fn train(folder: &Path, out: &str, arguments: &[&str]) -> Command {
    let mut command = common::train(folder, out);
    command.args(arguments);
    command
}

/// Tokens of the prefixes that were judged; each with an IoU from 0 to 1.
fn judged(run: &Path) -> Vec<u64> {
    let line = lines(run, "validation").pop().unwrap();
    let pairs = line["iou"].as_array().unwrap().clone();
    assert!(pairs.iter().all(|pair| (0.0..=1.0).contains(&pair[1].as_f64().unwrap())), "{line}");
    pairs.iter().map(|pair| pair[0].as_u64().unwrap()).collect()
}

fn sheet(run: &Path) -> Picture {
    load_picture(run.join("samples/00000004.png"), &LoadOptions::default()).unwrap()
}

#[test]
fn both_stages_are_trained_go_on_after_an_interruption_and_end_in_a_model() {
    let bench = bench();
    let folder = bench.path();
    let quantized = ["--shape-stage", "quantized", "--from", "continuous", "--free-steps", "1", "--reseed-every", "2"];
    let from = folder.join("continuous");
    let mut quantized = quantized.map(str::to_owned);
    quantized[3] = from.to_string_lossy().into_owned();
    let quantized: Vec<&str> = quantized.iter().map(String::as_str).collect();
    for (name, arguments) in [("continuous", &[][..]), ("quantized", &quantized)] {
        printed(&mut train(folder, name, arguments));
        let cut = format!("{name}-cut");
        printed(&mut train(folder, &cut, arguments));
        fs::remove_dir_all(folder.join(&cut).join("checkpoints/00000004")).unwrap();
        printed(train(folder, &cut, arguments).arg("--resume"));
        let read = |run: &str| fs::read(folder.join(run).join("model.safetensors")).unwrap();
        assert_eq!(read(name), read(&cut), "{name}: the same bits");
    }
    let [first, second] = ["continuous", "quantized"].map(|name| folder.join(name));
    assert_eq!((judged(&first), judged(&second)), (vec![4], vec![1, 3, 7]));
    printed(&mut train(folder, "free", &["--shape-stage", "quantized", "--free-steps", "4"]));
    assert_eq!(judged(&folder.join("free")), [4], "free steps are judged without the quantizer");
    // An original and each prefix, two shapes below each other.
    let widths = [&first, &second].map(|run| sheet(run).width());
    assert_eq!(widths, [2 * 136 + 8, 4 * 136 + 8]);
    assert!(sheet(&second).height() > 2 * 128);

    let terms = |run: &PathBuf, line: usize| lines(run, "train")[line]["losses"].as_object().unwrap().clone();
    let names = ["volume", "near", "kl", "total"];
    assert!(names.iter().all(|name| terms(&first, 3).contains_key(*name)));
    let vq = [terms(&first, 3), terms(&second, 0), terms(&second, 3)].map(|terms| terms.contains_key("vq"));
    assert_eq!(vq, [false, false, true], "after the free step, in the second stage");

    // The first stage leaves the quantizer alone, the second moves it.
    let [a, b] = [&first, &second].map(|run| Weights::open(&run.join("model.safetensors")).unwrap());
    let differs = |name: &str| a.read_f32(name).unwrap() != b.read_f32(name).unwrap();
    assert!(differs("quantizer.embedding.weight") && differs("encoder.latents"));
    let config: Value = read_config(&second.join("config.json")).unwrap();
    assert_eq!((&config["input"]["num_points"], &config["loss"]["num_volume_queries"]), (&json!(24), &json!(30)));

    let tokenizer = tessera::from_pretrained(&second.to_string_lossy(), &Device::flex()).unwrap();
    let values: Vec<f32> = (0..60).map(|value| (value as f32 * 0.7).sin() * 0.8).collect();
    let points = Tensor::<3>::from_data(TensorData::new(values, [1, 20, 3]), &Device::flex());
    let tokens = tokenizer.encode(&Input::Points { normals: Some(points.clone()), points }).unwrap();
    assert_eq!(tokens.positions(), 7);
    let Output::Field(field) = tokenizer.decode(&tokens, &DecodeOptions::prefix(3)).unwrap() else { panic!() };
    assert!(field.evaluate(0, &[[0.0, 0.1, 0.2]]).unwrap()[0].is_finite());

    let report = fs::read_to_string(second.join("report.html")).unwrap();
    assert!(report.contains("IoU at 7 tokens"));
}

#[test]
fn a_decoder_learns_from_tokens_that_are_searched_for_and_the_tokens_stay() {
    let bench = bench();
    let folder = bench.path();
    printed(&mut train(folder, "first", &["--shape-stage", "quantized"]));
    let from = folder.join("first").to_string_lossy().into_owned();
    let searched = |batches: &'static str, every: &'static str| {
        let mut flags = vec!["--shape-stage", "searched", "--search-batches", batches, "--search-steps", "3"];
        flags.extend(["--steps", "12", "--validate-every", "12", "--checkpoint-every", every, "--from", &from]);
        flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>()
    };
    let run = |out: &str, flags: &[String], more: &[&str]| {
        let mut command = train(folder, out, more);
        command.args(flags);
        command
    };
    let flags = searched("2", "6");
    printed(&mut run("whole", &flags, &[]));
    printed(&mut run("cut", &flags, &[]));
    fs::remove_dir_all(folder.join("cut/checkpoints/00000012")).unwrap();
    printed(&mut run("cut", &flags, &["--resume"]));
    let read = |run: &str| fs::read(folder.join(run).join("model.safetensors")).unwrap();
    assert_eq!(read("whole"), read("cut"), "the same bits");
    assert_eq!(judged(&folder.join("whole")), [1, 3, 7]);
    let terms = lines(&folder.join("whole"), "train")[5]["losses"].as_object().unwrap().clone();
    assert!(["volume", "near", "commitment"].iter().all(|name| terms.contains_key(*name)), "{terms:?}");

    let [old, new] = ["first", "whole"].map(|run| Weights::open(&folder.join(run).join("model.safetensors")).unwrap());
    for entry in old.entries() {
        let stays = entry.name.starts_with("encoder.") || entry.name.starts_with("quantizer.");
        let same = old.read_f32(&entry.name).unwrap() == new.read_f32(&entry.name).unwrap();
        assert_eq!(same, stays, "{}", entry.name);
    }
    // Shapes of the encoder's tokens alone are others to learn from.
    printed(&mut run("encoded", &flags, &["--encoded-share", "1"]));
    assert_ne!(read("whole"), read("encoded"));

    for (flags, more, says) in [
        (searched("2", "4"), &[][..], "run.checkpoint_every"),
        (searched("0", "6"), &[], "shape.search_batches"),
        (flags.clone(), &["--reseed-every", "5"], "codebook"),
        (flags.into_iter().filter(|flag| flag != "--from" && *flag != from).collect(), &[], "model.from"),
    ] {
        let said = refused(&mut run("refused", &flags, more));
        assert!(said.contains(says), "{flags:?}: {said}");
    }
}

#[test]
fn the_gpu_trains_as_the_cpu_does() {
    let bench = bench();
    let mut config = TrainConfig::read(&bench.path().join("train.toml")).unwrap();
    (config.shape.stage, config.codebook.free_steps) = (ShapeStage::Quantized, 2);
    let losses = |choice: DeviceChoice| {
        let device = open(choice)?;
        let out = bench.path().join(format!("{choice:?}"));
        train_on(&config, &out, &device, false, &mut |_| ControlFlow::Continue(())).unwrap();
        let total = |line: &Value| line["losses"]["total"].as_f64().unwrap();
        Some(lines(&out, "train").iter().map(total).collect::<Vec<_>>())
    };
    let (Some(cpu), Some(gpu)) = (losses(DeviceChoice::Cpu), losses(DeviceChoice::Gpu(0))) else { return };
    assert_eq!(cpu.len(), 4);
    assert!(cpu.iter().zip(&gpu).all(|(cpu, gpu)| (cpu - gpu).abs() < 1e-3 * cpu), "{cpu:?} {gpu:?}");
}

#[test]
fn the_example_in_the_repository_is_small_and_runs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/vat/train.toml");
    let out = tempfile::tempdir().unwrap();
    let mut command = tessera();
    command.arg("train").arg(path).args(["--steps", "1", "--batch-size", "1", "--validation-pictures", "1"]);
    command.args(["--sample-pictures", "0", "--out"]).arg(out.path());
    assert!(printed(&mut command).contains("validation IoU"));
    let weights = Weights::open(&out.path().join("model.safetensors")).unwrap();
    let count: usize = weights.entries().iter().map(|entry| entry.shape.iter().product::<usize>()).sum();
    assert!(count < 4_000_000, "{count}");
}

#[test]
fn meshes_are_learnt_from_and_judged_by() {
    let bench = bench();
    let folder = bench.path();
    let meshes = folder.join("meshes");
    fs::create_dir(&meshes).unwrap();
    let solids = [Solid::Sphere { radius: 0.5 }, Solid::Cuboid { half: [0.3, 0.2, 0.4], rounding: 0.0 }];
    for (index, solid) in solids.iter().enumerate() {
        save_mesh(meshes.join(format!("{index}.ply")), &solid.mesh(17).unwrap()).unwrap();
    }
    fs::write(meshes.join("broken.obj"), "v 0 0 0\n").unwrap();
    let place = meshes.to_string_lossy().into_owned();
    let arguments = ["--meshes", &place, "--validation-meshes", &place];
    let said = printed(&mut train(folder, "run", &arguments));
    assert!(!said.is_empty());
    assert_eq!(lines(&folder.join("run"), "train")[0]["skipped"], 1);
    assert_eq!(judged(&folder.join("run")), [4]);
    // Half of the examples are meshes then; what the runs learn differs.
    let mixed = [&arguments[..], &["--mesh-share", "0.5", "--turn-meshes"]].concat();
    printed(&mut train(folder, "mixed", &mixed));
    let volume = |run: &str| lines(&folder.join(run), "train")[3]["losses"]["volume"].as_f64().unwrap();
    assert_ne!(volume("mixed"), volume("run"));
    printed(&mut train(folder, "again", &mixed));
    assert_eq!(volume("mixed"), volume("again"));
    let said = refused(&mut train(folder, "strict", &[&arguments[..], &["--strict"]].concat()));
    assert!(said.contains("broken.obj"), "{said}");
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let bench = bench();
    let folder = bench.path();
    let empty = folder.join("empty");
    fs::create_dir(&empty).unwrap();
    let place = empty.to_string_lossy().into_owned();
    for (arguments, says) in [
        (&["--stage", "decoder"][..], "loss.stage"),
        (&["--start", "narrow"], "model.start"),
        (&["--proxy", "x"], "model.proxy"),
        (&["--vae", "x"], "model.vae"),
        (&["--data", "pictures"], "data.sources"),
        (&["--validation", "pictures"], "validation.source"),
        (&["--perceptual-weight", "1"], "loss.perceptual_weight"),
        (&["--reseed-every", "5"], "codebook"),
        (&["--shape-points", "0"], "shape.points"),
        (&["--shape-prefix-probability", "2"], "shape.prefix_probability"),
        (&["--volume-queries", "0"], "shape.volume_queries"),
        (&["--near-deviations", "0.1,-2"], "shape.near_deviations"),
        (&["--encoded-share", "1.5"], "shape.encoded_share"),
        (&["--lattice", "1"], "shape.lattice"),
        (&["--sample-lattice", "2000"], "shape.sample_lattice"),
        (&["--validation-places", "0"], "shape.validation_places"),
        (&["--shape-kl-weight=-1"], "shape.kl_weight"),
        (&["--meshes", &place], "shape.meshes"),
        (&["--turn-meshes"], "shape.meshes"),
        (&["--mesh-share", "0.5"], "shape.meshes"),
        (&["--meshes", &place, "--mesh-share", "1.5"], "shape.mesh_share"),
        (&["--meshes", "/nowhere"], "/nowhere"),
        (&["--from", "/nowhere"], "/nowhere"),
    ] {
        let sentence = refused(&mut train(folder, "refused", arguments));
        assert!(sentence.contains(says), "{arguments:?}: {sentence}");
    }
}
