//! Wrong input: exit code 2, one clear sentence, nothing lost.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{golden, picture, printed, refused, tessera, tiny_model};
use tessera::layers::checkpoint::{NamedTensor, Precision, Weights, write_safetensors};

fn encode(image: &Path, folder: &Path) -> Command {
    let mut command = tessera();
    command.arg("encode").arg(image).arg("-o").arg(folder.join("out.tsr")).arg("--model").arg(tiny_model());
    command
}

#[test]
fn pictures_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let whole = std::fs::read(picture(folder.path(), "whole.png", 40, 30)).unwrap();
    std::fs::write(at("text.png"), "this is no picture").unwrap();
    std::fs::write(at("cut.png"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(at("empty.png"), "").unwrap();
    for (name, says) in
        [("missing.png", "missing.png"), ("text.png", "text.png"), ("cut.png", "cut.png"), ("empty.png", "empty.png")]
    {
        let sentence = refused(&mut encode(&at(name), folder.path()));
        assert!(sentence.contains(says), "{name}: {sentence}");
    }
    assert!(!at("out.tsr").exists());
}

#[test]
fn pictures_of_impossible_sizes() {
    let folder = tempfile::tempdir().unwrap();
    for (width, height) in [(1, 1), (30_000, 1), (1, 30_000)] {
        let path = picture(folder.path(), "size.png", width, height);
        for mode in [&[][..], &["--tile"][..]] {
            let sentence = refused(encode(&path, folder.path()).args(mode));
            assert!(sentence.contains(&format!("{width}x{height}")), "{sentence}");
        }
    }
}

/// The tiny single-stage model with its tensors changed.
fn spoilt(folder: &Path, spoil: impl FnOnce(&mut Vec<NamedTensor>)) -> PathBuf {
    let source = golden("titok_single_stage_no_l2");
    let weights = Weights::open(&source.join("model.safetensors")).unwrap();
    let mut tensors: Vec<NamedTensor> = weights
        .entries()
        .into_iter()
        .map(|entry| NamedTensor {
            values: weights.read_f32(&entry.name).unwrap(),
            name: entry.name,
            shape: entry.shape,
        })
        .collect();
    spoil(&mut tensors);
    let model = folder.join("model");
    std::fs::create_dir_all(&model).unwrap();
    std::fs::copy(source.join("config.json"), model.join("config.json")).unwrap();
    write_safetensors(&model.join("model.safetensors"), &tensors, Precision::F32, Default::default()).unwrap();
    model
}

fn refused_model(model: &Path, folder: &Path) -> String {
    let image = picture(folder, "picture.png", 50, 50);
    let mut command = tessera();
    command.arg("encode").arg(image).arg("-o").arg(folder.join("out.tsr")).arg("--model").arg(model);
    refused(&mut command)
}

#[test]
fn checkpoints_with_wrong_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = spoilt(folder, |tensors| tensors.retain(|tensor| tensor.name != "decoder.mask_token"));
    let sentence = refused_model(&model, folder);
    assert!(sentence.contains("lacks 1") && sentence.contains("decoder.mask_token"), "{sentence}");

    let model = spoilt(folder, |tensors| {
        tensors.push(NamedTensor { name: "extra.weight".to_owned(), shape: vec![1], values: vec![0.0] });
    });
    let sentence = refused_model(&model, folder);
    assert!(sentence.contains("extra.weight"), "{sentence}");

    let model = spoilt(folder, |tensors| {
        let tensor = tensors.iter_mut().find(|tensor| tensor.name == "latent_tokens").unwrap();
        tensor.shape.reverse();
    });
    let sentence = refused_model(&model, folder);
    assert!(sentence.contains("latent_tokens") && sentence.contains("[48, 14]"), "{sentence}");
}

#[test]
fn a_checkpoint_with_nan() {
    let folder = tempfile::tempdir().unwrap();
    let model = spoilt(folder.path(), |_| {});
    // The writer refuses NaN, so it is put into the file itself: the last four bytes are a number of the last tensor.
    let path = model.join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let sentence = refused_model(&model, folder.path());
    assert!(sentence.contains("NaN"), "{sentence}");
}

#[test]
fn truncated_weights_and_unknown_configurations() {
    let folder = tempfile::tempdir().unwrap();
    let model = spoilt(folder.path(), |_| {});
    let path = model.join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    for length in [4, 200, bytes.len() - 100] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let sentence = refused_model(&model, folder.path());
        assert!(sentence.contains("model.safetensors"), "{sentence}");
    }
    std::fs::write(&path, bytes).unwrap();
    let config = model.join("config.json");
    for (text, says) in [
        (r#"{"model": {"type": "vit_transducer", "vq_model": {}}}"#, "vit_transducer"),
        (r#"{"weather": "fine"}"#, "unknown architecture"),
        ("{", "config.json"),
    ] {
        std::fs::write(&config, text).unwrap();
        let sentence = refused_model(&model, folder.path());
        assert!(sentence.contains(says), "{sentence}");
    }
    let sentence = refused_model(Path::new("nobody/no-such-model"), folder.path());
    assert!(sentence.contains("nobody/no-such-model"), "{sentence}");
}

#[test]
fn a_vae_titok_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let model = spoilt(folder.path(), |_| {});
    let config = model.join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("\"codebook_size\"", "\"quantize_mode\": \"vae\", \"codebook_size\"");
    std::fs::write(&config, text).unwrap();
    let sentence = refused_model(&model, folder.path());
    assert!(sentence.contains("VAE"), "{sentence}");
}

#[test]
fn tokens_of_another_model_and_cut_or_damaged_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let image = picture(folder.path(), "picture.png", 50, 40);
    printed(encode(&image, folder.path()).arg("--tile"));
    let tokens = folder.path().join("out.tsr");
    let out = folder.path().join("out.png");
    let decode = |tokens: &Path, model: &Path| {
        let mut command = tessera();
        command.arg("decode").arg(tokens).arg("-o").arg(&out).arg("--model").arg(model);
        command
    };
    let sentence = refused(&mut decode(&tokens, &golden("tiny_variable_length")));
    assert!(sentence.contains("another model"), "{sentence}");

    let bytes = std::fs::read(&tokens).unwrap();
    let cut = folder.path().join("cut.tsr");
    std::fs::write(&cut, &bytes[..bytes.len() - 40]).unwrap();
    let sentence = refused(&mut decode(&cut, &tiny_model()));
    assert!(sentence.contains("expected 120 tokens") && sentence.contains("found 72"), "{sentence}");
    assert!(!out.exists());
    printed(decode(&cut, &tiny_model()).arg("--partial"));
    assert!(out.exists());

    let mut damaged = bytes;
    let last = damaged.len() - 10;
    damaged[last] ^= 1;
    std::fs::write(&cut, damaged).unwrap();
    let sentence = refused(decode(&cut, &tiny_model()).arg("--partial"));
    assert!(sentence.contains("damaged"), "{sentence}");
}

#[test]
fn token_counts_that_the_model_does_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let image = picture(folder.path(), "picture.png", 50, 40);
    for counts in ["0", "11", "4,99"] {
        let mut command = tessera();
        command.arg("reconstruct").arg(&image).args(["--tokens", counts, "-o"]).arg(folder.path().join("out.png"));
        let sentence = refused(command.arg("--model").arg(tiny_model()));
        assert!(sentence.contains("from 1 to 10"), "{sentence}");
    }
}

#[cfg(unix)]
#[test]
fn a_folder_without_the_right_to_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;

    let folder = tempfile::tempdir().unwrap();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    picture(&closed, "picture.png", 40, 40);
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser may read everything, so the program is run as nobody, from a place that nobody can reach.
    let program = folder.path().join("tessera");
    // Copied by a process of its own: a child that another test starts meanwhile would inherit the file as open for writing, and the
    // system runs no such file.
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_tessera")).arg(&program).status().unwrap().success());
    let mut command = Command::new(&program);
    command.args(["encode"]).arg(&closed).arg("-o").arg("/tmp/never.tsr").args(["--device", "cpu"]);
    let is_superuser = std::fs::read_dir(&closed).is_ok();
    if is_superuser {
        command.uid(65_534);
    }
    let sentence = refused(&mut command);
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(sentence.contains("closed") && sentence.to_lowercase().contains("permission"), "{sentence}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_old_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16k", "tmpfs"]).arg(&small).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        return eprintln!("SKIPPED: a small file system cannot be mounted by this user");
    }
    let image = picture(folder.path(), "picture.png", 640, 480);
    let out = small.join("out.png");
    std::fs::write(&out, "old").unwrap();
    let mut command = tessera();
    command
        .arg("reconstruct")
        .arg(&image)
        .arg("-o")
        .arg(&out)
        .arg("--model")
        .arg(tiny_model())
        .args(["--tile", "--tokens", "10"]);
    let output = command.output().unwrap();
    let (old, files) = (std::fs::read_to_string(&out), std::fs::read_dir(&small).unwrap().count());
    Command::new("umount").arg(&small).status().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("full") || stderr.contains("space"), "{stderr}");
    assert_eq!((old.unwrap().as_str(), files), ("old", 1));
}

#[cfg(unix)]
#[test]
fn a_killed_program_leaves_no_half_written_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("random");
    let mut command = tessera();
    let mut child = command.args(["inspect", "--write-random", "one-d-piece-s-256", "-o"]).arg(&out).spawn().unwrap();
    // As soon as anything is being written.
    for _ in 0..1000 {
        std::thread::sleep(std::time::Duration::from_millis(5));
        if std::fs::read_dir(&out).is_ok_and(|mut entries| entries.next().is_some()) {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!out.join("model.safetensors").exists() && !out.join("config.json").exists());
}

#[test]
fn a_tokenizer_of_shapes_takes_no_pictures_and_gives_none() {
    let folder = tempfile::tempdir().unwrap();
    let image = picture(folder.path(), "picture.png", 32, 32);
    let model = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vat/tiny-vat-a/model.safetensors");
    let out = folder.path().join("out.tsr");
    let sentence = refused(tessera().arg("encode").arg(&image).arg("-o").arg(&out).arg("--model").arg(&model));
    assert!(sentence.contains("takes meshes") && sentence.contains("found a picture"), "{sentence}");
    assert!(!out.exists());
}
