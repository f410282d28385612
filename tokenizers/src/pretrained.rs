//! Opening a tokenizer by folder, file or hub id.

use burn::tensor::Device;
use tessera_layers::checkpoint::{CheckpointFiles, Weights, locate, read_config};

use crate::model_config::closest_release;
use crate::{LoadError, ModelConfig, Tokenizer};

/// Opens a tokenizer: a folder, a weight file (its configuration is looked for beside it) or a hub id
/// `owner/name[@revision]` that lies in the hub's cache on disk. No connection is ever opened.
///
/// One-D-Piece was released without configuration files: weights without one are recognised by the names and shapes of
/// their tensors.
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
    let Some(path) = &files.config else {
        return unconfigured(&weights)?.load(&weights, device);
    };
    let config = ModelConfig::from_value(&read_config(path)?);
    let config = config.map_err(|error| LoadError::from(error).in_file(path))?;
    config.load(&weights, device).map_err(|error| error.in_file(path))
}

/// The configuration of weights that came without one. Where no release has these tensors, the closest one is taken,
/// so that loading says what differs.
fn unconfigured(weights: &Weights) -> Result<ModelConfig, LoadError> {
    let entries = weights.entries();
    let name = ModelConfig::release_of(&entries).or_else(|| closest_release(&entries)).unwrap_or_default();
    ModelConfig::preset(name).ok_or_else(|| {
        let found =
            format!("{} has no config beside it and its tensors are no released model's", weights.path().display());
        LoadError::Config(crate::ConfigError::UnknownArchitecture(found))
    })
}
