//! The small models that are built into the program.

use std::path::Path;

use burn::tensor::Device;
use serde_json::Value;
use tessera_generators::{Generator, GeneratorConfig};
use tessera_layers::checkpoint::{CheckpointError, Weights, parse_config};
use tessera_tokenizers::patch_dct::PatchDctConfig;
use tessera_tokenizers::{LatentCodec, LoadError, ModelConfig, Tokenizer};

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
    config: include_str!("../models/xar-tiny-64/config.json"),
    weights: include_bytes!("../models/xar-tiny-64/model.safetensors"),
    name: "built-in generator",
};

const SHAPE_GENERATOR: BuiltIn = BuiltIn {
    config: include_str!("../models/next-scale-tiny/config.json"),
    weights: include_bytes!("../models/next-scale-tiny/model.safetensors"),
    name: "built-in generator of shapes",
};

/// A transform without weights.
const LATENTS: BuiltIn =
    BuiltIn { config: include_str!("../models/patch-dct-8/config.json"), weights: &[], name: "built-in transform" };

impl BuiltIn {
    fn document(&self) -> Result<Value, LoadError> {
        let document = parse_config(self.config, false).map_err(|found| CheckpointError::Malformed {
            path: Path::new(self.name).to_owned(),
            expected: "a JSON configuration",
            found,
        })?;
        Ok(document)
    }

    fn open(&self) -> Result<(Value, Weights), LoadError> {
        Ok((self.document()?, Weights::embedded(self.name, self.weights)?))
    }

    fn tokenizer(&self, device: &Device) -> Result<Box<dyn Tokenizer>, LoadError> {
        let (document, weights) = self.open()?;
        ModelConfig::from_value(&document)?.load(&weights, device)
    }

    fn generator(&self, device: &Device) -> Result<Box<dyn Generator>, LoadError> {
        let (document, weights) = self.open()?;
        GeneratorConfig::from_value(&document)?.load(&weights, device)
    }
}

/// The tokenizer of `models/one-d-piece-tiny-64`: 64x64 pictures or tiles to 1 to 64 tokens of 12 bits. Its model card
/// says how it was trained and what it is good for.
///
/// # Errors
/// [`LoadError`] if the device cannot hold it.
pub fn default_tokenizer(device: &Device) -> Result<Box<dyn Tokenizer>, LoadError> {
    TOKENIZER.tokenizer(device)
}

/// The tokenizer of `models/vat-tiny`: shapes to 511 tokens of 8 bits in nine scales. Its model card says how it was trained and
/// what it is good for.
///
/// # Errors
/// [`LoadError`] if the device cannot hold it.
pub fn default_shape_tokenizer(device: &Device) -> Result<Box<dyn Tokenizer>, LoadError> {
    SHAPE_TOKENIZER.tokenizer(device)
}

/// Configuration and weights of [`default_shape_tokenizer`].
pub(crate) fn default_shape_files() -> Result<(Value, Weights), LoadError> {
    SHAPE_TOKENIZER.open()
}

/// The transform of `models/patch-dct-8`: 64x64 pictures to a grid of 8x8 latents, the low coefficients of each patch's DCT, and back.
///
/// # Errors
/// [`LoadError`] if the configuration cannot be read.
pub fn default_latent_codec(device: &Device) -> Result<LatentCodec, LoadError> {
    Ok(PatchDctConfig::from_value(&LATENTS.document()?)?.codec(device))
}

/// The generator of `models/xar-tiny-64`: captions of words to the latents of [`default_latent_codec`]. Its model card says how
/// it was trained and what it is good for.
///
/// # Errors
/// [`LoadError`] if the device cannot hold it.
pub fn default_generator(device: &Device) -> Result<Box<dyn Generator>, LoadError> {
    GENERATOR.generator(device)
}

/// The generator of `models/next-scale-tiny`: families of shapes to the tokens of [`default_shape_tokenizer`], scale by scale. Its model card
/// says how it was trained and what it is good for.
///
/// # Errors
/// [`LoadError`] if the device cannot hold it.
pub fn default_shape_generator(device: &Device) -> Result<Box<dyn Generator>, LoadError> {
    SHAPE_GENERATOR.generator(device)
}
