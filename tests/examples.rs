//! Every example runs to its end.

use std::path::{Path, PathBuf};
use std::process::Command;

/// An example that cargo has built beside the program.
fn example(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_tessera"));
    program.with_file_name("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

fn run(name: &str, arguments: &[&str], made: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(example(name)).args(arguments).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    for file in made {
        assert!(folder.path().join(file).is_file(), "{name} made no {file}");
    }
}

fn photo() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/photo.jpg").to_string_lossy().into_owned()
}

#[test]
fn encode_reconstruct() {
    run("encode_reconstruct", &[&photo()], &["reconstructed.tsr", "reconstructed-4.png", "reconstructed-64.png"]);
}

#[test]
fn generate_next_token() {
    run("generate_next_token", &["style=noto red heart"], &["generated-0.png", "generated-3.png"]);
}

#[test]
fn generate_nar() {
    run("generate_nar", &[], &["nar-0.png", "next-token-3.png"]);
}

#[test]
fn generate_token_shuffle() {
    run("generate_token_shuffle", &[], &[]);
}

#[test]
fn generate_xar() {
    run("generate_xar", &[], &["generated-0.png", "generated-3.png"]);
}

#[test]
fn complete_image() {
    run("complete_image", &[&photo(), "24"], &["completed-0.png", "completed-3.png"]);
}

#[test]
fn encode_mesh() {
    run("encode_mesh", &[], &["encoded.tsr", "decoded-511.ply"]);
}

#[test]
fn generate_shape() {
    run("generate_shape", &[], &["generated.png"]);
}
