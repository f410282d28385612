//! Loading, starting and saving.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::Device;
use serde_json::{Map, Value};
use tessera_layers::checkpoint::{
    CheckpointError, Weights, load_strict_renamed, locate, parse_python_literal, read_config, save_module,
    write_python_literal,
};
use tessera_layers::{ParamSource, ParamSpec, Params};

use super::targets::order;
use super::{FlexTok, FlexTokConfig, FlexTokNetwork};
use crate::LoadError;
use crate::autoencoder_kl::current_name;

/// The tensors of a checkpoint, by released name and shape; allocates no weights.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn listing(config: &FlexTokConfig) -> Result<Vec<ParamSpec>, LoadError> {
    let source = ParamSource::listing();
    FlexTokNetwork::new(&source.root(), config)?;
    Ok(source.into_taken())
}

/// Makes the model of a checkpoint that holds exactly its tensors.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite.
pub fn load(config: &FlexTokConfig, weights: &Weights, device: &Device) -> Result<FlexTok, LoadError> {
    let make = |params: &Params| FlexTokNetwork::new(params, config);
    let (network, specs, hash) = load_strict_renamed(weights, &[], current_name, device, make)?;
    Ok(FlexTok::new(network, config.clone(), specs, &hash, device))
}

/// A model with starting values drawn from `seed`.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn random(config: &FlexTokConfig, seed: u64, device: &Device) -> Result<FlexTok, LoadError> {
    let source = ParamSource::seeded(seed, device);
    let network = FlexTokNetwork::new(&source.root(), config)?;
    let hash = source.content_hash();
    Ok(FlexTok::new(network, config.clone(), source.into_taken(), &hash, device))
}

/// Writes the network's parameters (those of `specs`) as a checkpoint of the released layout, the configuration in its
/// metadata.
///
/// # Errors
/// [`CheckpointError`] if the file cannot be written or a value is not finite.
pub fn save(
    network: &FlexTokNetwork,
    config: &FlexTokConfig,
    specs: &[ParamSpec],
    path: &Path,
) -> Result<(), CheckpointError> {
    save_module(network, specs, path, metadata(config))
}

/// The configuration as the metadata of a released file: a Python literal for each top-level key.
pub fn metadata(config: &FlexTokConfig) -> HashMap<String, String> {
    let Value::Object(entries) = config.to_value() else { return HashMap::new() };
    let text = |value: Value| match value {
        // A text that is no literal is taken as it stands.
        Value::String(text) => text,
        other => write_python_literal(&other, &order()),
    };
    entries.into_iter().map(|(key, value)| (key, text(value))).collect()
}

/// The configuration that travels in the metadata of a weight file; `None` where there is none of a FlexTok.
///
/// A value that is no Python literal stays a text, as the reference has it; it is then judged as one.
pub fn config_in(weights: &Weights) -> Option<Value> {
    let entries = weights.texts()?;
    let value = |text: &String| parse_python_literal(text).unwrap_or_else(|_| Value::String(text.clone()));
    let document: Map<String, Value> = entries.iter().map(|(key, text)| (key.clone(), value(text))).collect();
    let document = Value::Object(document);
    FlexTokConfig::describes(&document).then_some(document)
}

/// Puts the autoencoder's own configuration into a document that only names its place (`vae.hf_hub_path`): a folder, which
/// may be relative to the model's `folder`, or a hub id in the hub's cache on disk. Where nothing is found there the
/// document stays as it is, and the released base configuration holds.
///
/// # Errors
/// [`CheckpointError`] if there is a configuration that cannot be read.
pub fn resolve_vae(mut document: Value, folder: &Path) -> Result<Value, CheckpointError> {
    let pointer = if document.get("config").is_some() { "/config/vae" } else { "/vae" };
    let Some(Value::Object(vae)) = document.pointer_mut(pointer) else { return Ok(document) };
    let place = vae.get("hf_hub_path").and_then(Value::as_str).map(str::to_owned);
    let Some(place) = place.filter(|_| !vae.contains_key("architecture")) else { return Ok(document) };
    let beside = folder.join(&place).join("config.json");
    let path = if beside.is_file() { Some(beside) } else { locate(&place).ok().and_then(|files| files.config) };
    if let Some(path) = path {
        vae.insert("architecture".to_owned(), read_config(&path)?);
    }
    Ok(document)
}
