//! Values of real files.

use std::collections::HashMap;

use tessera_layers::checkpoint::{
    CheckpointError, ElementType, NamedTensor, Precision, Weights, fingerprint, read_config, write_safetensors,
};

use super::support::{data, tensor, write};

#[derive(serde::Deserialize)]
struct Expected {
    shape: Vec<usize>,
    sum: f64,
    abs_sum: f64,
}

#[test]
fn a_released_container_has_every_tensor_and_sum() {
    let weights = Weights::open(&data("bin_checkpoint/pytorch_model.bin")).unwrap();
    let text = std::fs::read_to_string(data("bin_checkpoint/tensors.json")).unwrap();
    let expected: HashMap<String, Expected> = serde_json::from_str(&text).unwrap();
    let entries = weights.entries();
    assert_eq!(entries.len(), expected.len());
    assert!(entries.is_sorted());
    for entry in entries {
        let expected = &expected[&entry.name];
        assert_eq!(entry.shape, expected.shape, "{}", entry.name);
        let values = weights.read_f32(&entry.name).unwrap();
        let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
        let abs_sum: f64 = values.iter().map(|&value| f64::from(value).abs()).sum();
        assert!((sum - expected.sum).abs() <= 1e-5 * expected.abs_sum.max(1e-3), "{}: {sum}", entry.name);
        assert!((abs_sum - expected.abs_sum).abs() <= 1e-5 * expected.abs_sum.max(1e-3), "{}", entry.name);
    }
}

#[test]
fn strides_offsets_and_types_are_honoured_in_both_containers() {
    for file in ["torch/views.pt", "torch/legacy.pth"] {
        let weights = Weights::open(&data(file)).unwrap();
        let read = |name| weights.read_f32(name).unwrap();
        let rows: Vec<f32> = (0..24_u8).map(f32::from).collect();
        let columns: Vec<f32> = (0..6_u8).flat_map(|c| (0..4_u8).map(move |r| f32::from(r * 6 + c))).collect();
        assert_eq!(read("plain"), rows, "{file}");
        assert_eq!(read("transposed"), columns, "{file}");
        assert_eq!(read("offset"), [5.0, 6.0, 7.0, 8.0], "{file}");
        assert_eq!(read("column"), [2.0, 8.0, 14.0, 20.0], "{file}");
        assert_eq!(read("scalar"), [2.5], "{file}");
        assert_eq!(read("param"), [7.0], "{file}");
        assert!(read("empty").is_empty(), "{file}");
        assert_eq!([read("half"), read("bf")], [[1.5, -2.0], [1.5, -2.0]], "{file}");
        assert_eq!(read("double"), [0.5, 0.25], "{file}");
        assert_eq!(weights.element_type("bf"), Some(ElementType::Bf16));
        assert_eq!(weights.read_i64("ids").unwrap(), [3, -1]);
        assert_eq!(weights.read_i64("small").unwrap(), [1, -2]);
        assert_eq!(weights.read_i64("flag").unwrap(), [1, 0]);
        assert!(weights.read_f32("ids").unwrap_err().to_string().contains("integers"));
        assert!(weights.read_i64("plain").unwrap_err().to_string().contains("floats"));
        assert!(weights.read_f32("absent").unwrap_err().to_string().contains("\"absent\""));
    }
}

#[test]
fn nested_dictionaries_are_found_and_flat_names_left_alone() {
    let training = data("torch/training.pt");
    let preferred = Weights::open(&training).unwrap();
    assert_eq!((preferred.wrapper(), preferred.read_f32("w").unwrap()), (Some("ema"), vec![3.0, 3.0]));
    let chosen = Weights::open_under(&training, "model").unwrap();
    assert_eq!(chosen.read_f32("w").unwrap(), [1.0, 1.0]);
    assert_eq!(chosen.entries().len(), 2);
    assert!(Weights::open_under(&training, "absent").is_err());
    let flat = Weights::open(&data("torch/flat.pt")).unwrap();
    assert_eq!(flat.wrapper(), None);
    assert_eq!(flat.read_f32("model.norm").unwrap(), [1.0, 1.0]);
    assert_eq!(Weights::open(&data("torch/protocol4.ckpt")).unwrap().read_f32("w").unwrap(), [1.0, 1.0]);
}

#[test]
fn code_in_a_pickle_is_named_and_not_run() {
    let error = Weights::open(&data("torch/command.pt")).err().unwrap();
    assert!(
        matches!(&error, CheckpointError::ForbiddenGlobal { global, .. } if global.ends_with(".system")),
        "{error}"
    );
    assert!(!std::path::Path::new("should_not_exist").exists());
}

#[test]
fn shards_are_read_as_one_and_must_agree_with_their_index() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a.safetensors"), &[tensor("x", &[2, 3])]);
    write(&folder.path().join("b.safetensors"), &[tensor("y", &[4]), tensor("z", &[])]);
    let index = folder.path().join("model.safetensors.index.json");
    let open = |map: &str| {
        std::fs::write(&index, format!("{{\"metadata\": {{\"total_size\": 44}}, \"weight_map\": {map}}}")).unwrap();
        Weights::open(&index)
    };
    let weights = open(r#"{"x": "a.safetensors", "y": "b.safetensors", "z": "b.safetensors"}"#).unwrap();
    let names: Vec<String> = weights.entries().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["x", "y", "z"]);
    assert_eq!(weights.read_f32("y").unwrap(), [0.0, 1.0, 2.0, 3.0]);
    for (map, reason) in [
        (r#"{"x": "a.safetensors", "y": "a.safetensors"}"#, "does not hold tensor \"y\""),
        (r#"{"x": "a.safetensors", "y": "b.safetensors"}"#, "does not list tensor \"z\""),
        (r#"{"x": "../a.safetensors"}"#, "no file beside it"),
        (r#"{"x": "/a.safetensors"}"#, "no file beside it"),
        (r#"{"x": "gone.safetensors"}"#, "gone.safetensors"),
        ("{}", "names no tensor"),
        ("[", "line 1"),
    ] {
        let error = open(map).err().unwrap().to_string();
        assert!(error.contains(reason), "{map}: {error}");
    }
}

#[test]
fn pages_that_were_given_back_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    // Tensors that share pages with their neighbours.
    let tensors: Vec<NamedTensor> = (0..5_u8)
        .map(|index| NamedTensor {
            name: format!("tensor{index}"),
            shape: vec![3000],
            values: (0..3000_u16).map(|value| f32::from(value) + f32::from(index)).collect(),
        })
        .collect();
    write_safetensors(&path, &tensors, Precision::F32, HashMap::new()).unwrap();
    let weights = Weights::open(&path).unwrap();
    for _ in 0..2 {
        for tensor in &tensors {
            assert_eq!(weights.read_f32(&tensor.name).unwrap(), tensor.values, "{}", tensor.name);
        }
    }
}

#[test]
fn a_fingerprint_depends_on_content_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = read_config(&data("bin_checkpoint/config.yaml")).unwrap();
    let torch = Weights::open(&data("torch/flat.pt")).unwrap();
    let copy = folder.path().join("copy.safetensors");
    let named = |name: &str, values: &[f32]| tessera_layers::checkpoint::NamedTensor {
        name: name.to_owned(),
        shape: vec![values.len()],
        values: values.to_vec(),
    };
    let print = |tensors: &[_], config: &serde_json::Value| {
        write(&copy, tensors);
        fingerprint(&Weights::open(&copy).unwrap(), config).unwrap()
    };
    let expected = fingerprint(&torch, &config).unwrap();
    assert_eq!(print(&[named("model.norm", &[1.0, 1.0]), named("model.head", &[1.0])], &config), expected);
    assert_ne!(print(&[named("model.norm", &[1.0, 1.5]), named("model.head", &[1.0])], &config), expected);
    assert_ne!(print(&[named("model.norm", &[1.0]), named("model.head", &[1.0, 1.0])], &config), expected);
    assert_ne!(fingerprint(&torch, &serde_json::json!({})).unwrap(), expected);
}
