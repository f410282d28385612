//! Loading, starting and saving.

use std::path::Path;

use burn::tensor::Device;
use tessera_layers::checkpoint::{CheckpointError, Weights, save_module};
use tessera_layers::{ParamSource, ParamSpec, Params, load_strict};

use super::{OneDPiece, OneDPieceConfig, OneDPieceNetwork};
use crate::LoadError;

/// The tensors of a checkpoint, by released name and shape; allocates no weights.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn listing(config: &OneDPieceConfig) -> Result<Vec<ParamSpec>, LoadError> {
    let source = ParamSource::listing();
    OneDPieceNetwork::new(&source.root(), config)?;
    Ok(source.into_taken())
}

/// Makes the model of a checkpoint that holds exactly its tensors.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite.
pub fn load(config: &OneDPieceConfig, weights: &Weights, device: &Device) -> Result<OneDPiece, LoadError> {
    let make = |params: &Params| OneDPieceNetwork::new(params, config);
    let (network, specs, hash) = load_strict(weights, &[], device, make)?;
    Ok(OneDPiece::new(network, config.clone(), specs, &hash, device))
}

/// A model with starting values drawn from `seed`.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn random(config: &OneDPieceConfig, seed: u64, device: &Device) -> Result<OneDPiece, LoadError> {
    let source = ParamSource::seeded(seed, device);
    let network = OneDPieceNetwork::new(&source.root(), config)?;
    let hash = source.content_hash();
    Ok(OneDPiece::new(network, config.clone(), source.into_taken(), &hash, device))
}

/// Writes the network's parameters (those of `specs`) as a checkpoint of the released layout.
///
/// # Errors
/// [`CheckpointError`] if the file cannot be written or a value is not finite.
pub fn save(network: &OneDPieceNetwork, specs: &[ParamSpec], path: &Path) -> Result<(), CheckpointError> {
    save_module(network, specs, path, Default::default())
}
