//! Saving, and comparing what is in a file with what should be.

use std::fs;
use std::path::Path;

use tessera_layers::checkpoint::{
    CheckpointError, Precision, TensorEntry, Weights, check_finite, compare, differences, write_safetensors,
    write_streaming,
};

use super::support::tensor;

fn entry(name: &str, shape: &[usize]) -> TensorEntry {
    TensorEntry { name: name.to_owned(), shape: shape.to_vec() }
}

#[test]
fn what_was_written_is_read_and_the_bytes_are_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let tensors = [tensor("z", &[3, 2]), tensor("a", &[]), tensor("m", &[0, 4])];
    let metadata: std::collections::HashMap<String, String> =
        (0..20).map(|n| (format!("key{n}"), n.to_string())).collect();
    for precision in [Precision::F32, Precision::F16, Precision::Bf16] {
        write_safetensors(&path, &tensors, precision, metadata.clone()).unwrap();
        let first = fs::read(&path).unwrap();
        write_safetensors(&path, &tensors, precision, metadata.clone()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
        let parsed = safetensors::SafeTensors::deserialize(&first).unwrap();
        assert_eq!(parsed.tensor("z").unwrap().shape(), [3, 2]);
        let weights = Weights::open(&path).unwrap();
        for tensor in &tensors {
            assert_eq!(weights.read_f32(&tensor.name).unwrap(), tensor.values);
        }
        assert_eq!(weights.metadata("key7"), Some("7"));
    }
}

#[test]
fn a_failed_save_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write_safetensors(&path, &[tensor("a", &[2])], Precision::F32, Default::default()).unwrap();
    let old = fs::read(&path).unwrap();
    let attempt = |tensors: &[_], precision| write_safetensors(&path, tensors, precision, Default::default());
    let mut short = tensor("a", &[2]);
    short.values.pop();
    let mut large = tensor("a", &[1]);
    large.values = vec![70_000.0];
    let mut broken = tensor("a", &[1]);
    broken.values = vec![f32::NAN];
    assert!(attempt(&[tensor("b", &[1]), short], Precision::F32).unwrap_err().to_string().contains("1 values"));
    assert!(attempt(&[large.clone()], Precision::F16).unwrap_err().to_string().contains("too large for F16"));
    assert!(matches!(attempt(&[broken], Precision::Bf16), Err(CheckpointError::NotFinite { .. })));
    assert!(attempt(&[tensor("a", &[1]), tensor("a", &[1])], Precision::F32).is_err());
    assert!(attempt(&[tensor("__metadata__", &[1])], Precision::F32).is_err());
    let impossible = [entry("a", &[usize::MAX, 2])];
    assert!(write_streaming(&path, &impossible, Precision::F32, Default::default(), |_| Ok(vec![])).is_err());
    let refuse =
        |entry: &TensorEntry| check_finite(Path::new("training"), &entry.name, &[f32::INFINITY]).map(|()| vec![]);
    assert!(write_streaming(&path, &[entry("a", &[1])], Precision::F32, Default::default(), refuse).is_err());
    assert_eq!(fs::read(&path).unwrap(), old);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let absent = folder.path().join("no/such/folder.safetensors");
    assert!(matches!(
        write_safetensors(&absent, &[large], Precision::F32, Default::default()),
        Err(CheckpointError::Io { .. })
    ));
}

#[test]
fn differences_are_counted_and_the_first_is_named() {
    let needed = [entry("a", &[1]), entry("b", &[2]), entry("c", &[3]), entry("d", &[4])];
    let mut reversed = needed.to_vec();
    reversed.reverse();
    assert_eq!(differences(&needed, &reversed), None);
    let held = [entry("c", &[3, 1]), entry("d", &[4]), entry("x", &[1])];
    let found = differences(&needed, &held).unwrap();
    assert_eq!((found.missing, found.surplus, found.misshapen, found.needed), (2, 1, 1, 4));
    assert_eq!((found.first_missing.as_deref(), found.first_surplus.as_deref()), (Some("a"), Some("x")));
    let error = compare(Path::new("m.bin"), &needed, &held, Some("TiTok-S-128".to_owned())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "m.bin: the checkpoint lacks 2 of the model's 4 tensors (first: \"a\"); it holds 1 tensor that the model does \
         not know (first: \"x\"); it has 1 tensor of another shape (first: \"c\" is [3, 1] where the model needs [3]); \
         the tensors are exactly those of TiTok-S-128: use that configuration, or another file"
    );
}

#[test]
fn the_first_value_that_is_not_finite_is_named() {
    assert!(check_finite(Path::new("m"), "w", &[0.0, f32::MAX, -0.0]).is_ok());
    let error = check_finite(Path::new("m"), "w", &[1.0, f32::NEG_INFINITY, f32::NAN]).unwrap_err();
    assert!(matches!(error, CheckpointError::NotFinite { index: 1, value: f32::NEG_INFINITY, .. }));
    let nan = Weights::open(&super::support::data("torch/nan.pt")).unwrap();
    assert!(matches!(nan.read_f32("w"), Err(CheckpointError::NotFinite { index: 1, .. })));
}
