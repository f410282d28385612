//! The small model that is built into the program.

use std::path::Path;

use burn::tensor::Device;
use tessera_layers::checkpoint::{CheckpointError, Weights, parse_config};
use tessera_tokenizers::{LoadError, ModelConfig, Tokenizer};

const CONFIG: &str = include_str!("../models/one-d-piece-tiny-64/config.json");
const WEIGHTS: &[u8] = include_bytes!("../models/one-d-piece-tiny-64/model.safetensors");

/// The tokenizer of `models/one-d-piece-tiny-64`: 64x64 pictures or tiles to 1 to 64 tokens of 12 bits. Its model card
/// says how it was trained and what it is good for.
///
/// # Errors
/// [`LoadError`] if the device cannot hold it.
pub fn default_tokenizer(device: &Device) -> Result<Box<dyn Tokenizer>, LoadError> {
    let document = parse_config(CONFIG, false).map_err(|found| CheckpointError::Malformed {
        path: Path::new("built-in config.json").to_owned(),
        expected: "a JSON configuration",
        found,
    })?;
    let weights = Weights::embedded("built-in model.safetensors", WEIGHTS)?;
    ModelConfig::from_value(&document)?.load(&weights, device)
}
