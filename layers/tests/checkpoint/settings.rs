//! Configurations.

use serde_json::json;
use tessera_layers::checkpoint::{canonical_json, parse_config, read_config};

use super::support::{Chance, data};

#[test]
fn the_yaml_of_a_training_script_is_read() {
    let config = read_config(&data("bin_checkpoint/config.yaml")).unwrap();
    assert_eq!(config["experiment"]["max_train_examples"], 1_281_167);
    assert_eq!(config["experiment"]["resume"], true);
    assert_eq!(config["model"]["vq_model"]["strict_length_assertion"], false);
    assert_eq!(config["model"]["vq_model"]["pixel_decoder"]["channel_mult"], json!([1, 1, 1]));
}

#[test]
fn numbers_keys_and_references() {
    let text = "a: {n: 1_281_167, x: -1_000.5, on: True}\nb: ${a.n}\nc: ${nowhere}\nd: [x_1, 20_000]\n\
                e: ${b}\nf: ${d}\ng: ${d.1}\nh: ${a}\n0: zero\nl: ${m}\nm: ${l}\nlr: 1e-4\n";
    let config = parse_config(text, true).unwrap();
    assert_eq!(config["a"], json!({"n": 1_281_167, "x": -1000.5, "on": true}));
    assert_eq!([&config["b"], &config["e"]], [&json!(1_281_167); 2]);
    assert_eq!([&config["d"], &config["f"]], [&json!(["x_1", 20_000]); 2]);
    assert_eq!(config["g"], 20_000);
    assert_eq!([&config["c"], &config["h"], &config["l"]], ["${nowhere}", "${a}", "${m}"]);
    assert_eq!(config["0"], "zero");
    assert_eq!(config["lr"], 1e-4);
    let json = parse_config(r#"{"m": {"n": 32}, "g": {"len": "${m.n}", "id": "1_2"}}"#, false).unwrap();
    assert_eq!(json["g"], json!({"len": 32, "id": "1_2"}));
    assert_eq!(canonical_json(&json!({"b": [1, null], "a": "x"})), r#"{"a":"x","b":[1,null]}"#);
}

#[test]
fn broken_and_boundless_files_are_refused() {
    assert!(parse_config("{\"a\": }", false).unwrap_err().contains("line 1"));
    assert!(parse_config("a: 1\nb: [1", true).unwrap_err().contains("line"));
    assert!(parse_config("a: !os.system x", true).unwrap_err().contains("os.system"));
    // Python's own tags mean nothing here: the text beside them is text.
    assert_eq!(parse_config("a: !!python/object:os.system x", true).unwrap(), json!({"a": "x"}));
    assert!(parse_config(&"[".repeat(100_000), false).is_err());
    assert!(parse_config(&"[".repeat(100_000), true).is_err());
    let repeated = format!("x: {}\ny: [{}]", "a".repeat(10_000), "\"${x}\",".repeat(10_000));
    assert!(parse_config(&repeated, true).unwrap_err().contains("4 MiB"));
    let mut laughs = "a0: &a0 [x, x]\n".to_owned();
    for n in 1..40 {
        laughs += &format!("a{n}: &a{n} [*a{}, *a{}]\n", n - 1, n - 1);
    }
    assert!(parse_config(&laughs, true).is_err());
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("config.json");
    std::fs::write(&large, " ".repeat((4 << 20) + 1)).unwrap();
    assert!(read_config(&large).unwrap_err().to_string().contains("longer than"));
    assert!(read_config(folder.path()).unwrap_err().to_string().contains("it is a folder"));
}

#[test]
fn mutated_configurations_never_panic() {
    let text = std::fs::read(data("bin_checkpoint/config.yaml")).unwrap();
    let mut chance = Chance(3);
    for round in 0..4_000 {
        if let Ok(text) = String::from_utf8(chance.mutate(&text)) {
            let _ = parse_config(&text, round % 2 == 0);
        }
    }
}
