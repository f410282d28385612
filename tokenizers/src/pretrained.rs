//! Opening a tokenizer by folder, file or hub id.

use std::path::Path;

use burn::tensor::Device;
use tessera_layers::checkpoint::{CheckpointFiles, Weights, locate, read_config};

use crate::flextok::{self, FlexTokConfig, resolve_vae};
use crate::model_config::closest_release;
use crate::{ConfigError, LoadError, ModelConfig, Tokenizer};

/// Opens a tokenizer: a folder, a weight file (its configuration is looked for beside it) or a hub id
/// `owner/name[@revision]` that lies in the hub's cache on disk. No connection is ever opened.
///
/// One-D-Piece was released without configuration files: weights without one are recognised by the names and shapes of
/// their tensors. FlexTok's configuration travels in the metadata of its weights.
///
/// # Errors
/// [`LoadError`] if the files are not found, the configuration does not fit, or a tensor is missing, surplus, misshapen
/// or not finite.
pub fn from_pretrained(spec: &str, device: &Device) -> Result<Box<dyn Tokenizer>, LoadError> {
    from_files(&locate(spec)?, device)
}

/// [`from_pretrained`] with the files already found.
///
/// # Errors
/// As [`from_pretrained`].
pub fn from_files(files: &CheckpointFiles, device: &Device) -> Result<Box<dyn Tokenizer>, LoadError> {
    let weights = Weights::open(&files.weights)?;
    let config = config_of(files, &weights)?;
    let described = files.config.as_ref().unwrap_or(&files.weights);
    config.load(&weights, device).map_err(|error| error.in_file(described))
}

/// The configuration of a model's files: the file beside the weights, else what travels in their metadata, else that of the
/// release whose tensors they are.
///
/// # Errors
/// [`LoadError`] if a configuration cannot be read or does not fit, or there is none and the tensors are no release's.
pub fn config_of(files: &CheckpointFiles, weights: &Weights) -> Result<ModelConfig, LoadError> {
    let (document, path) = match &files.config {
        Some(path) => (Some(read_config(path)?), path),
        None => (flextok::config_in(weights), &files.weights),
    };
    let Some(document) = document else { return unconfigured(weights) };
    let folder = path.parent().unwrap_or(Path::new(""));
    let document = if FlexTokConfig::describes(&document) { resolve_vae(document, folder)? } else { document };
    ModelConfig::from_value(&document).map_err(|error| LoadError::from(error).in_file(path))
}

/// The configuration of weights that came without one. Where no release has these tensors, the closest one is taken,
/// so that loading says what differs.
fn unconfigured(weights: &Weights) -> Result<ModelConfig, LoadError> {
    let (entries, path) = (weights.entries(), weights.path().display());
    let unknown = |found: String| LoadError::Config(ConfigError::UnknownArchitecture(found));
    // VATs differ in how scales are resampled, in ticks and bounds.
    if entries.iter().any(|entry| entry.name == "decoder.plane_tokens") {
        return Err(unknown(format!(
            "{path} holds a VAT's tensors but no configuration: expected a config.json beside it"
        )));
    }
    // Releases of FlexTok differ in numbers that no tensor shows.
    if entries.iter().any(|entry| entry.name.starts_with("decoder.module_dict.")) {
        return Err(unknown(format!(
            "{path} holds a FlexTok's tensors but no configuration: expected it in the file's metadata or in a config.json \
             beside it; fetch the release again"
        )));
    }
    let name = ModelConfig::release_of(&entries).or_else(|| closest_release(&entries)).unwrap_or_default();
    ModelConfig::preset(name)
        .ok_or_else(|| unknown(format!("{path} has no config beside it and its tensors are no released model's")))
}
