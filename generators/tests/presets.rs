//! Every preset against the tensor list of its release.

use std::collections::BTreeMap;

use tessera_generators::maskgit::{MaskGitConfig, PRESETS, listing};

/// Releases whose tensor lists are known; the other presets share their networks.
const LISTS: [(&str, &str); 3] = [
    ("maskgit-one-d-piece-l-256", include_str!("data/tensors/maskgit-one-d-piece-l-256.json")),
    ("titok-generator-l32", include_str!("data/tensors/titok-generator-l32.json")),
    ("titok-generator-s128-uvit", include_str!("data/tensors/titok-generator-s128-uvit.json")),
];

#[test]
fn tensor_names_and_shapes_equal_the_release() {
    for (name, list) in LISTS {
        let (config, _) = MaskGitConfig::preset(name).unwrap();
        let released: BTreeMap<String, Vec<usize>> = serde_json::from_str(list).unwrap();
        let ours: BTreeMap<String, Vec<usize>> =
            listing(&config).unwrap().into_iter().map(|spec| (spec.name, spec.shape)).collect();
        assert_eq!(ours, released, "{name}");
    }
}

#[test]
fn every_preset_is_a_configuration() {
    for name in PRESETS {
        let (config, sampling) = MaskGitConfig::preset(name).unwrap();
        assert!(!listing(&config).unwrap().is_empty() && sampling.num_sample_steps > 0, "{name}");
    }
    assert!(MaskGitConfig::preset("unknown").is_none());
}
