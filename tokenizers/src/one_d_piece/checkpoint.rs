//! Loading, starting and saving.

use std::path::Path;

use burn::tensor::Device;
use tessera_layers::checkpoint::{CheckpointError, Weights, save_module};
use tessera_layers::{Init, ParamSource, ParamSpec, Params, load_strict};

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
    from_seed(config, ParamSource::seeded(seed, device), device)
}

/// As [`random`], with starting values for widths well below 512.
///
/// The released deviation of 0.02 leaves the signal of a narrow network so weak that attention learns where to look only
/// after thousands of steps. Here a matrix starts at one over the root of its inputs (0.4 of that where it ends a
/// residual branch), positions and tokens five times as strong.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn random_narrow(config: &OneDPieceConfig, seed: u64, device: &Device) -> Result<OneDPiece, LoadError> {
    from_seed(config, ParamSource::seeded_with(seed, device, &narrow_start), device)
}

fn from_seed(config: &OneDPieceConfig, source: ParamSource, device: &Device) -> Result<OneDPiece, LoadError> {
    let network = OneDPieceNetwork::new(&source.root(), config)?;
    let hash = source.content_hash();
    Ok(OneDPiece::new(network, config.clone(), source.into_taken(), &hash, device))
}

fn narrow_start(name: &str, shape: &[usize], init: Init) -> Init {
    if name.contains("quantize") {
        return init;
    }
    let inputs = shape.iter().skip(1).product::<usize>().max(1) as f32;
    if name.ends_with("weight") && shape.len() > 1 {
        let ends_branch = name.contains("out_proj") || name.contains("c_proj");
        return Init::Normal(if ends_branch { 0.4 } else { 1.0 } / inputs.sqrt());
    }
    if name.contains("embedding") || name.contains("token") { init.scaled(5.0) } else { init }
}

/// Writes the network's parameters (those of `specs`) as a checkpoint of the released layout.
///
/// # Errors
/// [`CheckpointError`] if the file cannot be written or a value is not finite.
pub fn save(network: &OneDPieceNetwork, specs: &[ParamSpec], path: &Path) -> Result<(), CheckpointError> {
    save_module(network, specs, path, Default::default())
}
