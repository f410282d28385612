//! Loading, starting and saving.

use std::path::Path;

use burn::tensor::Device;
use tessera_layers::checkpoint::{CheckpointError, Weights, save_module};
use tessera_layers::{ParamSource, ParamSpec, Params, load_strict};

use super::start::Start;
use super::{Vat, VatConfig, VatNetwork};
use crate::LoadError;

/// The tensors of a checkpoint, by name and shape; allocates no weights.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn listing(config: &VatConfig) -> Result<Vec<ParamSpec>, LoadError> {
    config.check()?;
    let source = ParamSource::listing();
    VatNetwork::new(&source.root(), config)?;
    Ok(source.into_taken())
}

/// Makes the model of a checkpoint that holds exactly its tensors.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite.
pub fn load(config: &VatConfig, weights: &Weights, device: &Device) -> Result<Vat, LoadError> {
    config.check()?;
    let make = |params: &Params| Ok::<_, LoadError>(VatNetwork::new(params, config)?);
    let (network, specs, hash) = load_strict(weights, &[], device, make)?;
    Ok(Vat::new(network, config.clone(), specs, &hash, device))
}

/// A model with starting values drawn from `seed`. Latents and plane tokens start with places in the cube, which the first block of
/// either tower looks at.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn random(config: &VatConfig, seed: u64, device: &Device) -> Result<Vat, LoadError> {
    config.check()?;
    let start = Start::new(config);
    let edit = |name: &str, shape: &[usize], values: &mut [f32]| start.edit(name, shape, values);
    let source = ParamSource::seeded_with(seed, device, &Start::distribution).edited(&edit);
    let network = VatNetwork::new(&source.root(), config)?;
    let hash = source.content_hash();
    Ok(Vat::new(network, config.clone(), source.into_taken(), &hash, device))
}

/// Writes the network's parameters (those of `specs`) as a checkpoint.
///
/// # Errors
/// [`CheckpointError`] if the file cannot be written or a value is not finite.
pub fn save(network: &VatNetwork, specs: &[ParamSpec], path: &Path) -> Result<(), CheckpointError> {
    save_module(network, specs, path, Default::default())
}
