//! The small models that are built into the program.

use std::path::Path;

use burn::tensor::Device;
use serde_json::Value;
use tessera_generators::{Generator, GeneratorConfig};
use tessera_layers::checkpoint::{CheckpointError, Weights, parse_config};
use tessera_tokenizers::{LoadError, ModelConfig, Tokenizer};

/// Configuration and weights as their files hold them.
struct BuiltIn {
    config: &'static str,
    weights: &'static [u8],
    name: &'static str,
}

const TOKENIZER: BuiltIn = BuiltIn {
    config: include_str!("../models/one-d-piece-tiny-64/config.json"),
    weights: include_bytes!("../models/one-d-piece-tiny-64/model.safetensors"),
    name: "built-in tokenizer",
};

const SHAPE_TOKENIZER: BuiltIn = BuiltIn {
    config: include_str!("../models/vat-tiny/config.json"),
    weights: include_bytes!("../models/vat-tiny/model.safetensors"),
    name: "built-in tokenizer of shapes",
};

const GENERATOR: BuiltIn = BuiltIn {
    config: include_str!("../models/next-token-tiny-64/config.json"),
    weights: include_bytes!("../models/next-token-tiny-64/model.safetensors"),
    name: "built-in generator",
};

impl BuiltIn {
    fn open(&self) -> Result<(Value, Weights), LoadError> {
        let document = parse_config(self.config, false).map_err(|found| CheckpointError::Malformed {
            path: Path::new(self.name).to_owned(),
            expected: "a JSON configuration",
            found,
        })?;
        Ok((document, Weights::embedded(self.name, self.weights)?))
    }
}

/// The tokenizer of `models/one-d-piece-tiny-64`: 64x64 pictures or tiles to 1 to 64 tokens of 12 bits. Its model card
/// says how it was trained and what it is good for.
///
/// # Errors
/// [`LoadError`] if the device cannot hold it.
pub fn default_tokenizer(device: &Device) -> Result<Box<dyn Tokenizer>, LoadError> {
    let (document, weights) = TOKENIZER.open()?;
    ModelConfig::from_value(&document)?.load(&weights, device)
}

/// The tokenizer of `models/vat-tiny`: shapes to 511 tokens of 8 bits in nine scales. Its model card says how it was trained and
/// what it is good for.
///
/// # Errors
/// [`LoadError`] if the device cannot hold it.
pub fn default_shape_tokenizer(device: &Device) -> Result<Box<dyn Tokenizer>, LoadError> {
    let (document, weights) = SHAPE_TOKENIZER.open()?;
    ModelConfig::from_value(&document)?.load(&weights, device)
}

/// The generator of `models/next-token-tiny-64`: captions of words to the tokens of [`default_tokenizer`]. Its model card says how
/// it was trained and what it is good for.
///
/// # Errors
/// [`LoadError`] if the device cannot hold it.
pub fn default_generator(device: &Device) -> Result<Box<dyn Generator>, LoadError> {
    let (document, weights) = GENERATOR.open()?;
    GeneratorConfig::from_value(&document)?.load(&weights, device)
}
