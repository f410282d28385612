//! `tessera train` of a next-scale generator on shapes, and `tessera generate` of what it learnt.

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{lines, open, picture, printed, random_tokenizer, refused, tessera, tiny, tiny_model};
use serde_json::{Value, json};
use tessera::DeviceChoice;
use tessera::datasets::shape::{Solid, save_mesh};
use tessera::layers::checkpoint::{Weights, read_config};
use tessera::tokenizers::ModelConfig;
use tessera::train::{TrainConfig, train as train_on};

const SETTINGS: &str = r#"
[run]
steps = 4
batch_size = 4
seed = 5
log_every = 1
checkpoint_every = 2

[model]
architecture = "architecture.json"

[optimizer]
matrices = "muon"
learning_rate = 2e-3
warmup_steps = 1
ema_decay = 0.5

[generator]
tokenizer = "vat"
shapes = 12
z_loss_weight = 1e-4

[shape]
lattice = 17
sample_lattice = 12

[validation]
validate_every = 4
validation_pictures = 5
sample_pictures = 3
"#;

/// A VAT with random weights, and settings of a generator of its tokens.
fn bench() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    random_tokenizer(&at("vat"), &tiny::vat(&[1, 2, 4], 4, 8));
    architecture(folder.path(), &json!({"dim": 16, "depth": 1, "heads": 2, "classes": 8}));
    fs::write(at("train.toml"), SETTINGS).unwrap();
    folder
}

/// Writes the section `ar` alone: the tokenizer says the rest.
fn architecture(folder: &Path, ar: &Value) {
    fs::write(folder.join("architecture.json"), json!({ "ar": ar }).to_string()).unwrap();
}

fn train(folder: &Path, out: &str, arguments: &[&str]) -> Command {
    let mut command = common::train(folder, out);
    command.args(arguments);
    command
}

/// Three shapes of a class, and where their meshes lie.
fn generate(folder: &Path, run: &str, class: &str) -> PathBuf {
    let parts = folder.join(format!("{run}-parts"));
    let mut command = tessera();
    command.args(["generate", "--count", "3", "--resolution", "17", "--quiet", "--class", class, "--model"]);
    command.arg(folder.join(run)).arg("--tokenizer").arg(folder.join("vat"));
    printed(command.arg("-o").arg(folder.join("grid.png")).arg("--parts").arg(&parts));
    parts
}

#[test]
fn shapes_by_family_are_learnt_resumed_and_generated() {
    let bench = bench();
    let folder = bench.path();
    printed(&mut train(folder, "run", &[]));
    printed(&mut train(folder, "cut", &[]));
    fs::remove_dir_all(folder.join("cut/checkpoints/00000004")).unwrap();
    printed(train(folder, "cut", &[]).arg("--resume"));
    let read = |run: &str, file: &str| fs::read(folder.join(run).join(file)).unwrap();
    assert_eq!(read("run", "model.safetensors"), read("cut", "model.safetensors"), "the same bits");
    let run = folder.join("run");

    // Losses of each scale, which are no part of the sum.
    let terms = lines(&run, "train")[0]["losses"].as_object().unwrap().clone();
    let of = |name: &str| terms[name].as_f64().unwrap();
    let names: Vec<&str> = terms.keys().map(String::as_str).collect();
    assert_eq!(names, ["cross_entropy", "scale_01", "scale_02", "scale_03", "total", "z"]);
    let mean = (of("scale_01") + 2.0 * of("scale_02") + 4.0 * of("scale_03")) / 7.0;
    assert!((of("cross_entropy") - mean).abs() < 1e-5 && (of("cross_entropy") - 8_f64.ln()).abs() < 1.0, "{terms:?}");
    assert!((of("total") - of("cross_entropy") - 1e-4 * of("z")).abs() < 1e-5, "{terms:?}");

    let judged = lines(&run, "validation").pop().unwrap();
    let by_scale: Vec<f64> =
        judged["loss_by_position"].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).collect();
    assert_eq!(by_scale.len(), 3);
    let mean = (by_scale[0] + 2.0 * by_scale[1] + 4.0 * by_scale[2]) / 7.0;
    assert!((judged["loss"].as_f64().unwrap() - mean).abs() < 1e-5, "a mean over tokens, not over scales");
    assert!(run.join("samples/00000004.png").is_file());
    let report = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(report.contains("validation loss") && report.contains("scale_03"));

    // The codes are the tokenizer's and stay; the rest moves.
    let [model, vat, start] = [
        run.join("model.safetensors"),
        folder.join("vat/model.safetensors"),
        run.join("checkpoints/00000002/model.safetensors"),
    ]
    .map(|file| Weights::open(&file).unwrap());
    for name in ["quantizer.embedding.weight", "quantizer.phi.1.weight", "quantizer.phi.0.bias"] {
        assert_eq!(model.read_f32(name).unwrap(), vat.read_f32(name).unwrap(), "{name}");
    }
    let config = read_config(&run.join("config.json")).unwrap();
    assert_eq!((&config["num_latents"], &config["quantizer"]["scales"]), (&json!(4), &json!([1, 2, 4])));
    assert_eq!(config["ar"]["class_names"].as_array().unwrap().len(), 8);
    assert!(start.read_f32("ar.head.weight").unwrap() != model.read_f32("ar.head.weight").unwrap());

    let parts = generate(folder, "run", "chain");
    assert!(parts.join("tokens.tsr").is_file());
    let mut unknown = tessera();
    unknown.args(["generate", "--class", "chairs", "-o", "x.png", "--model"]).arg(&run);
    let said = refused(unknown.arg("--tokenizer").arg(folder.join("vat")));
    assert!(said.contains("one of single, union") && said.contains("a number below 8"), "{said}");

    // A further training from this one's weights; another cache of the same shapes is not made.
    let cache = run.join("codes").to_string_lossy().into_owned();
    let from = run.to_string_lossy().into_owned();
    printed(&mut train(folder, "more", &["--from", &from, "--cache", &cache]));
    assert!(!folder.join("more/codes").exists());
}

#[test]
fn meshes_are_classes_by_folder() {
    let bench = bench();
    let folder = bench.path();
    let solids = [Solid::Sphere { radius: 0.5 }, Solid::Cuboid { half: [0.3, 0.2, 0.4], rounding: 0.0 }];
    for (class, solid) in ["balls", "boxes"].into_iter().zip(&solids) {
        let place = folder.join("meshes").join(class);
        fs::create_dir_all(&place).unwrap();
        for name in ["a.ply", "b.obj"] {
            save_mesh(place.join(name), &solid.mesh(17).unwrap()).unwrap();
        }
    }
    fs::write(folder.join("meshes/broken.obj"), "v 0 0 0\n").unwrap();
    let meshes = folder.join("meshes").to_string_lossy().into_owned();
    let settings = SETTINGS.replace("shapes = 12\n", "");
    fs::write(folder.join("train.toml"), settings).unwrap();
    let both = ["--meshes", &meshes, "--validation-meshes", &meshes, "--views", "3"];
    let said = printed(train(folder, "run", &both).arg("--json"));
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["skipped"].as_array().unwrap().len(), 1, "{said}");
    let described: Value = read_config(&folder.join("run/codes/train/00000.json")).unwrap();
    assert_eq!(described["labels"], json!([0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1]));
    assert_eq!(described["captions"][2], "class=boxes");
    let config = read_config(&folder.join("run/config.json")).unwrap();
    assert_eq!(config["ar"]["class_names"], json!(["balls", "boxes"]));
    generate(folder, "run", "boxes");
    let said = refused(&mut train(folder, "strict", &[&both[..], &["--strict"]].concat()));
    assert!(said.contains("broken.obj"), "{said}");
    // A table goes before folders: some meshes are of a class that it names, the others of none.
    let table = folder.join("meshes.csv");
    fs::write(&table, "file,kind,category\nboxes/a.ply,1,flat\nballs/b.obj,2,round\nboxes/b.obj,3,flat\n").unwrap();
    let labels = table.to_string_lossy().into_owned();
    let by_table = ["--meshes", &meshes, "--views", "1", "--mesh-labels", &labels, "--validation-pictures", "0"];
    printed(&mut train(folder, "table", &by_table));
    let described: Value = read_config(&folder.join("table/codes/train/00000.json")).unwrap();
    assert_eq!(described["labels"], json!([null, 1, 0, 0]));
    assert_eq!(described["captions"], json!([null, "class=round", "class=flat", "class=flat"]));
    let config = read_config(&folder.join("table/config.json")).unwrap();
    assert_eq!(config["ar"]["class_names"], json!(["flat", "round"]));
    let kinds = [&by_table[..], &["--mesh-class-column", "kinds"]].concat();
    let said = refused(&mut train(folder, "kinds", &kinds));
    assert!(said.contains("\"kinds\"") && said.contains("category"), "{said}");
    fs::write(&table, "file,category\nnone.ply,flat\n").unwrap();
    let said = refused(&mut train(folder, "nothing", &by_table));
    assert!(said.contains("shape.mesh_labels"), "{said}");
    // Procedural shapes beside them: their families come first.
    architecture(folder, &json!({"dim": 16, "depth": 1, "heads": 2, "classes": 10}));
    printed(
        train(folder, "both", &["--meshes", &meshes, "--shapes", "9", "--views", "1"])
            .arg("--validation-pictures")
            .arg("0"),
    );
    let described: Value = read_config(&folder.join("both/codes/train/00000.json")).unwrap();
    assert_eq!(described["labels"], json!([0, 1, 2, 3, 4, 5, 6, 7, 0, 8, 8, 9, 9]));
}

#[test]
fn without_a_tokenizer_it_learns_from_the_built_in_one() {
    let bench = bench();
    let folder = bench.path();
    fs::write(folder.join("train.toml"), SETTINGS.replace("tokenizer = \"vat\"\n", "")).unwrap();
    printed(&mut train(folder, "run", &["--steps", "1", "--sample-pictures", "1"]));
    // Which decodes what the model makes without being named.
    let mut command = tessera();
    command.args(["generate", "--count", "1", "--resolution", "17", "--class", "single", "--quiet", "--model"]);
    printed(command.arg(folder.join("run")).arg("-o").arg(folder.join("grid.png")));
}

#[test]
fn a_model_without_classes_learns_without_a_condition() {
    let bench = bench();
    architecture(bench.path(), &json!({"dim": 16, "depth": 1, "heads": 2}));
    printed(&mut train(bench.path(), "run", &[]));
    let mut command = tessera();
    command.args(["generate", "--count", "2", "--resolution", "9", "--quiet", "--model"]).arg(bench.path().join("run"));
    printed(command.arg("--tokenizer").arg(bench.path().join("vat")).arg("-o").arg(bench.path().join("grid.png")));
}

#[test]
fn the_gpu_learns_as_the_cpu_does() {
    let bench = bench();
    let config = TrainConfig::read(&bench.path().join("train.toml")).unwrap();
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
fn settings_that_do_not_fit_are_refused() {
    let bench = bench();
    let folder = bench.path();
    let refuses = |ar: Value, arguments: &[&str], says: &str| {
        architecture(folder, &ar);
        let said = refused(&mut train(folder, "refused", arguments));
        assert!(said.contains(says), "{ar} {arguments:?}: {said}");
        let _ = fs::remove_dir_all(folder.join("refused")); // a run that is refused may have encoded its shapes
    };
    let fits = || json!({"dim": 16, "depth": 1, "heads": 2, "classes": 8});
    let other = tiny_model().to_string_lossy().into_owned();
    refuses(fits(), &["--stage", "decoder"], "loss.stage");
    refuses(fits(), &["--data", "pictures"], "data.sources");
    refuses(fits(), &["--validation", "pictures"], "validation.source");
    refuses(fits(), &["--shapes", "0"], "generator.shapes");
    refuses(fits(), &["--meshes", "/nowhere"], "/nowhere");
    refuses(fits(), &["--lattice", "1"], "shape.lattice");
    refuses(fits(), &["--sample-lattice", "2000"], "shape.sample_lattice");
    refuses(fits(), &["--from", "/nowhere"], "/nowhere");
    refuses(json!({"dim": 16, "depth": 1, "heads": 3}), &[], "ar.heads");
    refuses(json!({"dim": 16, "depth": 1, "heads": 2, "classes": 5}), &[], "ar.classes of at least 8");
    refuses(json!({"dim": 16, "depth": 1, "heads": 2, "cond_tokens": 3, "cond_dim": 4}), &[], "ar.cond_tokens 0");
    refuses(fits(), &["--tokenizer", &other], "data.sources");
    let pictures = folder.join("pictures");
    fs::create_dir(&pictures).unwrap();
    picture(&pictures, "a.png", 16, 16);
    refuses(fits(), &["--tokenizer", &other, "--data", &pictures.to_string_lossy()], "a VAT");
    refuses(fits(), &["--architecture", "vat-ar-xs"], "that of the tokenizer");
    let mut document = json!({"ar": fits()});
    document["quantizer"] = json!({"scales": [2, 4], "codebook_size": 8});
    fs::write(folder.join("architecture.json"), document.to_string()).unwrap();
    let said = refused(&mut train(folder, "refused", &[]));
    assert!(said.contains("scales [1, 2, 4] of 8 codes") && said.contains("scales [2, 4]"), "{said}");
}

/// The settings in the repository, with a VAT of the size that they are for.
#[test]
fn the_example_in_the_repository_is_small_and_runs() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/vat");
    let folder = tempfile::tempdir().unwrap();
    let (vat, run) = (folder.path().join("vat"), folder.path().join("run"));
    fs::create_dir(&vat).unwrap();
    let document = read_config(&examples.join("architecture.json")).unwrap();
    fs::write(vat.join("config.json"), document.to_string()).unwrap();
    ModelConfig::from_value(&document).unwrap().write_random(1, &vat.join("model.safetensors")).unwrap();
    let mut command = tessera();
    command.arg("train").arg(examples.join("generator.toml")).arg("--tokenizer").arg(&vat).arg("--out").arg(&run);
    command.args(["--steps", "1", "--batch-size", "2", "--shapes", "8", "--validation-pictures", "2"]);
    assert!(printed(command.args(["--sample-pictures", "2"])).contains("validation loss"));
    let weights = Weights::open(&run.join("model.safetensors")).unwrap();
    let count: usize = weights.entries().iter().map(|entry| entry.shape.iter().product::<usize>()).sum();
    assert!(count < 4_000_000, "{count}");
}

/// A tape that no backward pass reaches is never freed (burn issue 4970): sums of codes, which take no gradient, must be on none.
#[test]
fn memory_does_not_grow_with_steps_burn_4970() {
    let bench = bench();
    let folder = bench.path();
    random_tokenizer(&folder.join("wide"), &tiny::vat(&[1, 512], 64, 8));
    let wide = folder.join("wide").to_string_lossy().into_owned();
    let flags = ["--tokenizer", &wide, "--steps", "40", "--batch-size", "16", "--checkpoint-every", "40"];
    let quick = ["--validation-pictures", "0", "--sample-pictures", "0"];
    printed(&mut train(folder, "run", &[&flags[..], &quick].concat()));
    let peaks = lines(&folder.join("run"), "train");
    let peak = |step: usize| peaks[step - 1]["peak_memory"].as_u64();
    let (Some(early), Some(late)) = (peak(10), peak(40)) else { return };
    assert!(late < early + (100 << 20), "{early} bytes after 10 steps, {late} after 40");
}
