//! Every preset against the tensor list of its release.

use std::collections::BTreeMap;

use tessera_layers::checkpoint::TensorEntry;
use tessera_tokenizers::{ModelConfig, vat};

/// Name, released tensors, and the number of parameters as published.
const RELEASES: [(&str, &str, usize); 21] = [
    ("one-d-piece-s-256", include_str!("data/tensors/one-d-piece-s-256.json"), 83_871_247),
    ("one-d-piece-b-256", include_str!("data/tensors/one-d-piece-b-256.json"), 205_256_463),
    ("one-d-piece-l-256", include_str!("data/tensors/one-d-piece-l-256.json"), 641_742_863),
    ("titok-s128", include_str!("data/tensors/titok-s128.json"), 83_674_639),
    ("titok-b64", include_str!("data/tensors/titok-b64.json"), 204_814_095),
    ("titok-l32", include_str!("data/tensors/titok-l32.json"), 641_054_735),
    ("titok-bl64-vq8k", include_str!("data/tensors/titok-bl64-vq8k.json"), 390_016_148),
    ("titok-bl128-vq8k", include_str!("data/tensors/titok-bl128-vq8k.json"), 390_179_988),
    ("titok-sl256-vq8k", include_str!("data/tensors/titok-sl256-vq8k.json"), 330_260_884),
    ("maskgit-vqgan-imagenet-f16-256", include_str!("data/tensors/maskgit-vqgan-imagenet-f16-256.json"), 54_515_587),
    ("llamagen-vq-16", include_str!("data/tensors/llamagen-vq-16.json"), 71_883_403),
    ("llamagen-vq-8", include_str!("data/tensors/llamagen-vq-8.json"), 70_109_835),
    ("mar-kl-16", include_str!("data/tensors/mar-kl-16.json"), 66_456_019),
    ("seed-1", include_str!("data/tensors/seed-1.json"), 1_154_069_952),
    ("seed-2", include_str!("data/tensors/seed-2.json"), 1_149_998_528),
    ("flextok-vae-c4", include_str!("data/tensors/flextok-vae-c4.json"), 83_653_863),
    ("flextok-vae-c8", include_str!("data/tensors/flextok-vae-c8.json"), 83_709_419),
    ("flextok-vae-c16", include_str!("data/tensors/flextok-vae-c16.json"), 83_821_011),
    ("flextok-d12-d12", include_str!("data/tensors/flextok-d12-d12.json"), 341_651_737),
    ("flextok-d18-d18", include_str!("data/tensors/flextok-d18-d18.json"), 949_734_553),
    ("flextok-d18-d28", include_str!("data/tensors/flextok-d18-d28.json"), 2_540_882_841),
];

/// VAT was never released: sizes of ours, of which two are listed; the others share their network.
const SIZES: [(&str, &str, usize); 2] = [
    ("vat-512b", include_str!("data/tensors/vat-512b.json"), 95_834_561),
    ("vat-paper-1024", include_str!("data/tensors/vat-paper-1024.json"), 96_879_041),
];

/// A buffer of LlamaGen's VQ that holds no parameter; a file may carry it or not.
const STATISTICS: &str = "quantize.codebook_used";

/// A buffer of SEED's Q-Formers that holds the numbers from 0 on; a file may carry it or not.
const POSITION_IDS: &str = ".position_ids";

fn released(list: &str) -> BTreeMap<String, Vec<usize>> {
    serde_json::from_str(list).unwrap()
}

#[test]
fn tensor_names_and_shapes_equal_the_release() {
    for (name, list, parameters) in RELEASES.into_iter().chain(SIZES) {
        let specs = ModelConfig::preset(name).unwrap().listing().unwrap();
        let ours: BTreeMap<String, Vec<usize>> = specs.into_iter().map(|spec| (spec.name, spec.shape)).collect();
        let mut released = released(list);
        released.retain(|name, _| name != STATISTICS && !name.ends_with(POSITION_IDS));
        assert_eq!(ours, released, "{name}");
        let counted: usize = ours.values().map(|shape| shape.iter().product::<usize>()).sum();
        assert_eq!(counted, parameters, "{name}");
    }
    let names = RELEASES.map(|(name, ..)| name).into_iter().chain(vat::PRESETS);
    assert_eq!(ModelConfig::presets().collect::<Vec<_>>(), names.collect::<Vec<_>>());
}

#[test]
fn weights_without_a_config_are_recognised_by_their_tensors() {
    for (name, list, _) in RELEASES {
        let mut found: Vec<TensorEntry> =
            released(list).into_iter().map(|(name, shape)| TensorEntry { name, shape }).collect();
        assert_eq!(ModelConfig::release_of(&found), Some(name));
        found.pop();
        assert_eq!(ModelConfig::release_of(&found), None);
    }
    // Several sizes of VAT have the same tensors.
    let found = released(SIZES[0].1).into_iter().map(|(name, shape)| TensorEntry { name, shape });
    assert_eq!(ModelConfig::release_of(&found.collect::<Vec<_>>()), None);
}

#[test]
fn a_configuration_survives_being_written() {
    for name in ModelConfig::presets() {
        let config = ModelConfig::preset(name).unwrap();
        assert_eq!(ModelConfig::from_value(&config.to_value()).unwrap(), config, "{name}");
    }
}
