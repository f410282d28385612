//! A small VAT and spheres to encode.

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::{Value, json};
use tessera_tokenizers::ConfigError;
use tessera_tokenizers::vat::VatConfig;

/// The small configuration, as a file has it.
pub fn document() -> Value {
    json!({
        "model_type": "vat", "num_latents": 9, "latent_dim": 4,
        "input": {"num_points": 40, "use_normals": true, "num_freqs": 3, "include_pi": true},
        "encoder": {"dim": 24, "depth": 2, "heads": 3, "mlp_ratio": 2.0},
        "quantizer": {"scales": [1, 3, 4, 9], "codebook_size": 20},
        "decoder": {"dim": 16, "depth": 2, "heads": 2, "plane_tokens": 3},
        "triplane": {"channels": [16, 8], "out_channels": 5, "norm_groups": 4, "bounds": 1.25},
        "occupancy": {"hidden": 12, "layers": 3},
    })
}

/// The small configuration with other values at some `(section, key)`.
pub fn config(changes: &[(&str, &str, Value)]) -> Result<VatConfig, ConfigError> {
    let mut document = document();
    for (section, key, value) in changes {
        match *section {
            "" => document[key] = value.clone(),
            section => document[section][key] = value.clone(),
        }
    }
    VatConfig::from_value(&document)
}

/// Points on spheres of several sizes, with their normals; a golden spiral, so that they lie evenly.
pub fn spheres(radii: &[f32], count: usize, device: &Device) -> (Tensor<3>, Tensor<3>) {
    let mut points = Vec::new();
    let mut normals = Vec::new();
    for radius in radii {
        for at in 0..count {
            let z = 1.0 - 2.0 * (at as f32 + 0.5) / count as f32;
            let (around, angle) = ((1.0 - z * z).sqrt(), at as f32 * 2.399_963);
            let normal = [around * angle.cos(), around * angle.sin(), z];
            normals.extend(normal);
            points.extend(normal.map(|x| x * radius));
        }
    }
    let tensor = |values| Tensor::from_data(TensorData::new(values, [radii.len(), count, 3]), device);
    (tensor(points), tensor(normals))
}

/// The numbers of a tensor.
pub fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}
