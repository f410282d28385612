//! The architecture that a training's settings name, and weights to start from.

use std::path::Path;

use tessera_layers::checkpoint::{Weights, locate, read_config};
use tessera_tokenizers::flextok::{FlexTokConfig, resolve_vae};
use tessera_tokenizers::{LoadError, ModelConfig};

use super::TrainError;

/// A configuration by file or by the name of a released model.
pub fn read_architecture(path: &Path) -> Result<ModelConfig, TrainError> {
    if let Some(config) = ModelConfig::preset(&path.to_string_lossy()) {
        return Ok(config);
    }
    let mut document = read_config(path).map_err(LoadError::from)?;
    if FlexTokConfig::describes(&document) {
        document = resolve_vae(document, path.parent().unwrap_or(Path::new("")))?;
    }
    Ok(ModelConfig::from_value(&document).map_err(|error| LoadError::from(error).in_file(path))?)
}

/// The weights of a folder or file.
pub fn open_weights(model: &Path) -> Result<Weights, TrainError> {
    let files = locate(&model.to_string_lossy()).map_err(LoadError::from)?;
    Ok(Weights::open(&files.weights)?)
}
