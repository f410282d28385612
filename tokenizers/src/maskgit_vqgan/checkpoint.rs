//! Loading and starting.

use burn::tensor::Device;
use tessera_layers::checkpoint::Weights;
use tessera_layers::{ParamSource, ParamSpec, Params, load_strict};

use super::{MaskGitVqgan, MaskGitVqganConfig, VqganNetwork};
use crate::LoadError;

/// The tensors of a checkpoint, by released name and shape; allocates no weights.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn listing(config: &MaskGitVqganConfig) -> Result<Vec<ParamSpec>, LoadError> {
    let source = ParamSource::listing();
    VqganNetwork::new(&source.root(), config)?;
    Ok(source.into_taken())
}

/// Makes the model of a checkpoint that holds exactly its tensors.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite.
pub fn load(config: &MaskGitVqganConfig, weights: &Weights, device: &Device) -> Result<MaskGitVqgan, LoadError> {
    let make = |params: &Params| VqganNetwork::new(params, config);
    let (network, specs, hash) = load_strict(weights, &[], device, make)?;
    Ok(MaskGitVqgan::new(network, config.clone(), &specs, &hash, device))
}

/// A model with starting values drawn from `seed`.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn random(config: &MaskGitVqganConfig, seed: u64, device: &Device) -> Result<MaskGitVqgan, LoadError> {
    let source = ParamSource::seeded(seed, device);
    let network = VqganNetwork::new(&source.root(), config)?;
    let hash = source.content_hash();
    Ok(MaskGitVqgan::new(network, config.clone(), &source.into_taken(), &hash, device))
}
