//! Every preset against the tensor list of its release.

use std::collections::BTreeMap;

use tessera_generators::maskgit::{MaskGitConfig, PRESETS, listing};
use tessera_generators::{GeneratorConfig, next_token};
use tessera_layers::checkpoint::TensorEntry;

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

/// LlamaGen and NAR; sizes of pictures share their tensors.
const DECODERS: [(&str, &str); 12] = [
    ("llamagen-b-256", include_str!("data/tensors/llamagen-b.json")),
    ("llamagen-l-384", include_str!("data/tensors/llamagen-l.json")),
    ("llamagen-xl-384", include_str!("data/tensors/llamagen-xl.json")),
    ("llamagen-xxl-384", include_str!("data/tensors/llamagen-xxl.json")),
    ("llamagen-3b-384", include_str!("data/tensors/llamagen-3b.json")),
    ("llamagen-xl-t2i-512", include_str!("data/tensors/llamagen-xl-t2i.json")),
    ("nar-b-256", include_str!("data/tensors/nar-b.json")),
    ("nar-m-256", include_str!("data/tensors/nar-m.json")),
    ("nar-l-256", include_str!("data/tensors/nar-l.json")),
    ("nar-xl-256", include_str!("data/tensors/nar-xl.json")),
    ("nar-xxl-256", include_str!("data/tensors/nar-xxl.json")),
    ("nar-xl-t2i-256", include_str!("data/tensors/nar-xl-t2i.json")),
];

#[test]
fn decoders_have_the_tensors_of_their_releases_and_are_recognised() {
    for (name, list) in DECODERS {
        let released: BTreeMap<String, Vec<usize>> = serde_json::from_str(list).unwrap();
        let specs = GeneratorConfig::preset(name).unwrap().listing().unwrap();
        let ours: BTreeMap<String, Vec<usize>> = specs.into_iter().map(|spec| (spec.name, spec.shape)).collect();
        assert_eq!(ours, released, "{name}");
        let found: Vec<TensorEntry> = released.into_iter().map(|(name, shape)| TensorEntry { name, shape }).collect();
        let (family, _) = name.rsplit_once('-').unwrap();
        assert!(next_token::release_of(&found).is_some_and(|found| found.starts_with(family)), "{name}");
    }
}

#[test]
fn every_generator_preset_lists_its_tensors() {
    for name in GeneratorConfig::presets() {
        assert!(!GeneratorConfig::preset(name).unwrap().listing().unwrap().is_empty(), "{name}");
    }
    assert!(GeneratorConfig::preset("llamagen-b-128").is_none() && GeneratorConfig::preset("nar").is_none());
}

#[test]
fn xar_has_the_tensors_of_its_releases_but_for_buffers() {
    for (name, list) in [
        ("xar-b", include_str!("data/tensors/xar-b.json")),
        ("xar-l", include_str!("data/tensors/xar-l.json")),
        ("xar-h", include_str!("data/tensors/xar-h.json")),
    ] {
        let mut released: BTreeMap<String, Vec<usize>> = serde_json::from_str(list).unwrap();
        released.retain(|tensor, _| tensor != "mask" && !tensor.contains(".rope."));
        let specs = GeneratorConfig::preset(name).unwrap().listing().unwrap();
        let ours: BTreeMap<String, Vec<usize>> = specs.into_iter().map(|spec| (spec.name, spec.shape)).collect();
        assert_eq!(ours, released, "{name}");
    }
}

/// The generator over scales keeps the tokenizer's codes beside its own tensors, so that it can run alone.
#[test]
fn the_next_scale_generator_has_the_listed_tensors_and_the_codes() {
    let listed: BTreeMap<String, Vec<usize>> =
        serde_json::from_str(include_str!("data/tensors/vat-ar-s.json")).unwrap();
    let specs = GeneratorConfig::preset("vat-ar-s").unwrap().listing().unwrap();
    let (own, codes): (Vec<_>, Vec<_>) = specs.into_iter().partition(|spec| spec.name.starts_with("ar."));
    let own: BTreeMap<String, Vec<usize>> = own.into_iter().map(|spec| (spec.name, spec.shape)).collect();
    assert_eq!(own, listed);
    assert!(codes.len() == 9 && codes.iter().all(|spec| spec.name.starts_with("quantizer.")));
}
