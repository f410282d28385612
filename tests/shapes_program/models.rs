//! Small random models of shapes, a mesh, and the program's JSON.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde_json::{Value, json};
use tessera::datasets::shape::{Mesh, Point, Solid};
use tessera::generators::next_scale::{self, NextScaleConfig};
use tessera::layers::checkpoint::{NamedTensor, Precision, Weights, write_safetensors};
use tessera::tokenizers::ModelConfig;
use tessera::{DecodeOptions, Tokenizer, encode_shape, from_pretrained};

fn document() -> Value {
    json!({
        "model_type": "vat", "num_latents": 9, "latent_dim": 4,
        "input": {"num_points": 200, "use_normals": true, "num_freqs": 3, "include_pi": true},
        "encoder": {"dim": 24, "depth": 1, "heads": 3, "mlp_ratio": 2.0},
        "quantizer": {"scales": [1, 4, 9], "codebook_size": 20},
        "decoder": {"dim": 16, "depth": 1, "heads": 2, "plane_tokens": 3},
        "triplane": {"channels": [16, 8], "out_channels": 5, "norm_groups": 4, "bounds": 1.25},
        "occupancy": {"hidden": 12, "layers": 3},
    })
}

/// The last bias of the network moved by `shift`.
pub fn shifted(model: &Path, shift: f32) {
    let file = model.join("model.safetensors");
    let weights = Weights::open(&file).unwrap();
    let read = |name: String, shape| NamedTensor { values: weights.read_f32(&name).unwrap(), name, shape };
    let mut tensors: Vec<NamedTensor> =
        weights.entries().into_iter().map(|entry| read(entry.name, entry.shape)).collect();
    let last = tensors.iter_mut().find(|tensor| tensor.name.ends_with("layers.2.bias")).unwrap();
    last.values.iter_mut().for_each(|value| *value += shift);
    write_safetensors(&file, &tensors, Precision::F32, Default::default()).unwrap();
}

/// A model on the CPU.
pub fn open(model: &Path) -> Box<dyn Tokenizer> {
    from_pretrained(&model.to_string_lossy(), &Device::flex()).unwrap()
}

/// A small VAT whose field of the bar, from all tokens, is positive at half of the places.
pub fn vat(folder: &Path) -> PathBuf {
    let model = folder.join("vat");
    std::fs::create_dir(&model).unwrap();
    std::fs::write(model.join("config.json"), document().to_string()).unwrap();
    ModelConfig::from_value(&document()).unwrap().write_random(3, &model.join("model.safetensors")).unwrap();
    let tokenizer = open(&model);
    let file = encode_shape(&*tokenizer, &bar(), 0, &Device::flex()).unwrap();
    let field = tokenizer.decode(&file.tokens, &DecodeOptions::default()).unwrap().into_field().unwrap();
    let mut logits = field.grid(0, 20).unwrap();
    logits.sort_by(f32::total_cmp);
    shifted(&model, -logits[logits.len() / 2]);
    model
}

/// A generator of that VAT's tokens.
pub fn generator(folder: &Path) -> PathBuf {
    let model = folder.join("generator");
    std::fs::create_dir(&model).unwrap();
    let document = json!({
        "model_type": "vat", "latent_dim": 4, "num_latents": 9,
        "quantizer": {"scales": [1, 4, 9], "codebook_size": 20},
        "ar": {"dim": 24, "depth": 1, "heads": 3, "classes": 5},
    });
    std::fs::write(model.join("config.json"), document.to_string()).unwrap();
    let config = NextScaleConfig::from_value(&document).unwrap();
    let (network, specs) = next_scale::random(&config, 5, &Device::flex()).unwrap().into_network();
    next_scale::save(&network, &specs, &model.join("model.safetensors")).unwrap();
    model
}

/// Somewhere else, and larger than the model's box.
pub fn bar() -> Mesh {
    let bar = Solid::Cuboid { half: [0.9, 0.3, 0.2], rounding: 0.1 }.mesh(33).unwrap();
    bar.moved(|place| Point::new(20.0 * place.x + 7.0, 20.0 * place.y, 20.0 * place.z - 100.0)).unwrap()
}

pub fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
