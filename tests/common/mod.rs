//! Running the built program.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod tiny;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use burn::tensor::Device;
use tessera::DeviceChoice;
use tessera::datasets::{Picture, save_png};
use tessera::tokenizers::ModelConfig;

/// The program, on the CPU.
pub fn tessera() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tessera"));
    command.args(["--device", "cpu"]);
    command
}

/// A tiny One-D-Piece for 16x16 pictures with its weights in a `pytorch_model.bin`.
pub fn tiny_model() -> PathBuf {
    golden("bin_checkpoint")
}

/// The device, or `None` where there is no such adapter; with `TESSERA_REQUIRE_GPU=1` that is a failure.
pub fn open(device: DeviceChoice) -> Option<Device> {
    match device.open() {
        Ok(device) => Some(device),
        Err(error) if std::env::var("TESSERA_REQUIRE_GPU").is_ok_and(|value| value == "1") => panic!("{error}"),
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            None
        }
    }
}

/// The folder of a recorded case.
pub fn golden(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/one-d-piece").join(case)
}

/// A copy of a case that can be spoilt.
pub fn copy_of(case: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(golden(case)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

/// A tokenizer of this configuration with random weights, in a new folder.
pub fn random_tokenizer(folder: &Path, document: &serde_json::Value) {
    std::fs::create_dir(folder).unwrap();
    std::fs::write(folder.join("config.json"), document.to_string()).unwrap();
    ModelConfig::from_value(document).unwrap().write_random(1, &folder.join("model.safetensors")).unwrap();
}

/// A colourful picture written as a PNG.
pub fn picture(folder: &Path, name: &str, width: u32, height: u32) -> PathBuf {
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            rgb.extend([(x * 7 % 256) as u8, (y * 5 % 256) as u8, ((x * y) % 256) as u8]);
        }
    }
    let path = folder.join(name);
    save_png(&path, &Picture::new(width, height, rgb).unwrap()).unwrap();
    path
}

/// What the program printed to standard output, after a success.
pub fn printed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {status}\n{stderr}");
    String::from_utf8(stdout).unwrap()
}

/// The one sentence that the program says about wrong input, with exit code 2.
pub fn refused(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{command:?}\n{stderr}");
    assert!(stdout.is_empty(), "{command:?} printed {}", String::from_utf8_lossy(&stdout));
    let sentence = stderr.strip_prefix("error: ").unwrap_or_else(|| panic!("{command:?} said {stderr}"));
    assert_eq!(sentence.trim_end().lines().count(), 1, "{command:?} said {stderr}");
    sentence.trim_end().to_owned()
}

/// The training that `train.toml` in a folder describes, into a run's folder beside it.
pub fn train(folder: &Path, out: &str) -> Command {
    let mut command = tessera();
    command.arg("train").arg(folder.join("train.toml")).arg("-o").arg(folder.join(out)).arg("--quiet");
    command
}

/// Lines of a run's log of one kind.
pub fn lines(run: &Path, kind: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line["kind"] == kind).collect()
}
