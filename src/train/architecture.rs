//! The architecture that a training's settings name, and weights to start from.

use std::path::Path;

use burn::tensor::Device;
use serde_json::Value;
use tessera_generators::GeneratorConfig;
use tessera_layers::checkpoint::{Weights, locate, read_config};
use tessera_layers::{ParamSource, ParamSpec, Params, load_strict};
use tessera_tokenizers::flextok::{FlexTokConfig, resolve_vae};
use tessera_tokenizers::{LoadError, ModelConfig};

use super::{TrainConfig, TrainError};

/// What is trained.
#[allow(clippy::large_enum_variant, reason = "there is one")]
pub enum Architecture {
    /// A tokenizer or an autoencoder.
    Codec(ModelConfig),
    /// A generator.
    Generator(GeneratorConfig),
    /// A next-scale generator: a document that may leave out what its tokenizer says.
    ScaleAr(Value),
    /// TokenFlow's generator: a document that may leave out what its tokenizer says.
    TokenFlowT2i(Value),
}

/// A configuration by file or by the name of a released model.
pub fn read_architecture(path: &Path) -> Result<Architecture, TrainError> {
    let name = path.to_string_lossy();
    if let Some(config) = ModelConfig::preset(&name) {
        return Ok(Architecture::Codec(config));
    }
    if let Some(config) = GeneratorConfig::preset(&name) {
        return Ok(match config {
            GeneratorConfig::NextScale(config) => Architecture::ScaleAr(config.to_value()),
            GeneratorConfig::TokenFlowT2i(config) => Architecture::TokenFlowT2i(config.to_value()),
            other => Architecture::Generator(other),
        });
    }
    let mut document = read_config(path).map_err(LoadError::from)?;
    if document["ar"].is_object() {
        return Ok(Architecture::ScaleAr(document));
    }
    if document["llm"].is_object() {
        return Ok(Architecture::TokenFlowT2i(document));
    }
    if GeneratorConfig::describes(&document) {
        let config = GeneratorConfig::from_value(&document);
        return Ok(Architecture::Generator(config.map_err(|error| LoadError::from(error).in_file(path))?));
    }
    if FlexTokConfig::describes(&document) {
        document = resolve_vae(document, path.parent().unwrap_or(Path::new("")))?;
    }
    let config = ModelConfig::from_value(&document);
    Ok(Architecture::Codec(config.map_err(|error| LoadError::from(error).in_file(path))?))
}

/// The weights of a folder or file.
pub fn open_weights(model: &Path) -> Result<Weights, TrainError> {
    let files = locate(&model.to_string_lossy()).map_err(LoadError::from)?;
    Ok(Weights::open(&files.weights)?)
}

/// A network and its parameters by released name: from the weights that the settings name, else at its start by their seed. The
/// weights may hold tensors named `ignored` too.
pub fn start_network<M>(
    config: &TrainConfig,
    device: &Device,
    ignored: &[&str],
    make: impl Fn(&Params) -> Result<M, LoadError>,
) -> Result<(M, Vec<ParamSpec>), TrainError> {
    match &config.model.from {
        Some(from) => {
            let (network, specs, _) = load_strict(&open_weights(from)?, ignored, device, make)?;
            Ok((network, specs))
        }
        None => {
            let source = ParamSource::seeded(config.run.seed, device);
            let network = make(&source.root())?;
            Ok((network, source.into_taken()))
        }
    }
}
