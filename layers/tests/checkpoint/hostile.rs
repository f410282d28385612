//! Files that are damaged or made to harm: an error each time, never a panic, never much memory.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use tessera_layers::checkpoint::{CheckpointError, Weights};

use super::support::{Chance, data, peak_bytes, tensor, write};

/// A view may take 16 MiB; reading holds its bytes, and its values beside them.
const MOST_BYTES: isize = 64 << 20;

/// Opens a file and reads all that it claims to hold.
fn read_all(path: &Path) -> Result<(), CheckpointError> {
    let weights = Weights::open(path)?;
    for entry in weights.entries() {
        let values = weights.read_f32(&entry.name).map(drop);
        let integers = weights.read_i64(&entry.name).map(drop);
        values.or(integers)?;
    }
    Ok(())
}

/// Mutates `bytes` and reads each file that `container` makes of them. Returns how many were refused.
fn survive(seed: u64, rounds: usize, bytes: &[u8], name: &str, container: impl Fn(Vec<u8>) -> Vec<u8>) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let mut chance = Chance(seed);
    let mut refused = 0;
    for round in 0..rounds {
        let mutated = container(chance.mutate(bytes));
        // A file that is mapped must not be cut short; a new one takes its place.
        let _ = fs::remove_file(&path);
        fs::write(&path, &mutated).unwrap();
        let peak = peak_bytes(|| refused += usize::from(read_all(&path).is_err()));
        assert!(peak < MOST_BYTES, "round {round}: {peak} bytes");
    }
    refused
}

fn safetensors() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    write(&path, &[tensor("first.weight", &[3, 4]), tensor("second.bias", &[5])]);
    fs::read(path).unwrap()
}

fn parts(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(archive)).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut entry = archive.by_index(index).unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.name().unwrap().to_string(), bytes)
        })
        .collect()
}

fn archive(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        writer.start_file(name.as_str(), stored).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn mutated_safetensors_never_panic() {
    let refused = survive(1, 20_000, &safetensors(), "m.safetensors", |bytes| bytes);
    assert!(refused > 5_000, "{refused}");
}

#[test]
fn mutated_archives_never_panic() {
    for (seed, name) in [(2, "views.pt"), (4, "legacy.pth")] {
        let bytes = fs::read(data("torch").join(name)).unwrap();
        let refused = survive(seed, 10_000, &bytes, name, |bytes| bytes);
        assert!(refused > 2_000, "{name}: {refused}");
    }
}

#[test]
fn mutated_pickles_in_sound_archives_never_panic() {
    for (seed, name) in [(5, "views.pt"), (6, "protocol4.ckpt")] {
        let parts = parts(&fs::read(data("torch").join(name)).unwrap());
        let at = parts.iter().position(|(name, _)| name.ends_with("data.pkl")).unwrap();
        let refused = survive(seed, 10_000, &parts[at].1, name, |pickle| {
            let mut parts = parts.clone();
            parts[at].1 = pickle;
            archive(&parts)
        });
        assert!(refused > 2_000, "{name}: {refused}");
    }
}

#[test]
fn files_cut_short_anywhere_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("m.safetensors", safetensors()),
        ("views.pt", fs::read(data("torch/views.pt")).unwrap()),
        ("legacy.pth", fs::read(data("torch/legacy.pth")).unwrap()),
    ] {
        let path = folder.path().join(name);
        for length in 0..bytes.len() {
            let _ = fs::remove_file(&path);
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(read_all(&path).is_err(), "{name} cut to {length} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn impostors_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut oversize = u64::MAX.to_le_bytes().to_vec();
    oversize.extend([0; 64]);
    let mut claims = 90_000_000_u64.to_le_bytes().to_vec();
    claims.extend(b"{\"a\":0}");
    let mut trailing = safetensors();
    trailing.push(0);
    for (bytes, reason) in [
        (&b""[..], "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"these are no weights at all\n", "a text file"),
        (&oversize, "100 MB"),
        (&claims, "inside its header"),
        (&trailing, "promises"),
    ] {
        for name in ["m.safetensors", "m.bin"] {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            let error = Weights::open(&path).err().unwrap().to_string();
            assert!(name == "m.bin" || error.contains(reason), "{error}");
        }
    }
    let is_folder = Weights::open(folder.path()).err().unwrap().to_string();
    assert!(is_folder.contains("it is a folder"), "{is_folder}");
    let missing = Weights::open(&folder.path().join("absent.bin")).err().unwrap().to_string();
    assert!(missing.contains("check the spelling"), "{missing}");
}

#[test]
fn a_view_that_repeats_one_number_a_billion_times_is_refused() {
    let peak = peak_bytes(|| {
        let error = Weights::open(&data("torch/expanded.pt")).err().unwrap().to_string();
        assert!(error.contains("\"huge\" would take"), "{error}");
    });
    assert!(peak < MOST_BYTES, "{peak} bytes");
}
