//! Loading and starting.

use burn::tensor::Device;
use tessera_layers::checkpoint::Weights;
use tessera_layers::{ParamSource, ParamSpec, Params};

use super::config::SeedPixelsConfig;
use super::decoder::PixelDecoder;
use super::{SeedPixels, SeedPixelsNetwork};
use crate::LoadError;
use crate::narrow;
use crate::seed::{self, load_known, rows};

/// The tensors of a checkpoint, by name and shape; allocates no weights.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn listing(config: &SeedPixelsConfig) -> Result<Vec<ParamSpec>, LoadError> {
    config.check()?;
    let source = ParamSource::listing();
    SeedPixelsNetwork::new(&source.root(), config, rows(&config.seed.encoder))?;
    Ok(source.into_taken())
}

/// Makes the tokenizer of a checkpoint that holds exactly its tensors, but for what SEED's files are known to carry beside them.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite.
pub fn load(config: &SeedPixelsConfig, weights: &Weights, device: &Device) -> Result<SeedPixels, LoadError> {
    config.check()?;
    let make = |params: &Params, rows: usize| SeedPixelsNetwork::new(params, config, rows);
    let (mut network, specs, hash) = load_known(&config.seed.encoder, weights, device, make)?;
    network.fit_positions();
    SeedPixels::new(network, config.clone(), specs, &hash, device)
}

/// A tokenizer with starting values drawn from `seed`.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn random(config: &SeedPixelsConfig, seed: u64, device: &Device) -> Result<SeedPixels, LoadError> {
    from_seed(config, ParamSource::seeded(seed, device), device)
}

/// As [`random`], with starting values for widths well below 512: SEED's matrices by the number of their inputs in place of a deviation
/// of 0.02.
///
/// # Errors
/// As [`random`].
pub fn random_narrow(config: &SeedPixelsConfig, seed: u64, device: &Device) -> Result<SeedPixels, LoadError> {
    from_seed(config, ParamSource::seeded_with(seed, device, &narrow::start), device)
}

fn from_seed(config: &SeedPixelsConfig, source: ParamSource, device: &Device) -> Result<SeedPixels, LoadError> {
    config.check()?;
    let network = SeedPixelsNetwork::new(&source.root(), config, rows(&config.seed.encoder))?;
    let hash = source.content_hash();
    SeedPixels::new(network, config.clone(), source.into_taken(), &hash, device)
}

/// A decoder at its start, drawn from `seed`, on top of a trained SEED, whose files [`seed::load`] opens. For training, on an
/// autodiff device; also returns the parameters by name.
///
/// # Errors
/// As [`seed::load`].
pub fn start(
    config: &SeedPixelsConfig,
    weights: &Weights,
    seed: u64,
    device: &Device,
) -> Result<(SeedPixelsNetwork, Vec<ParamSpec>), LoadError> {
    config.check()?;
    let (tokenizer, mut specs, _) = seed::load_network(&config.seed, weights, device)?;
    let source = ParamSource::seeded(seed, device);
    let pixels = PixelDecoder::new(&source.root().at("pixel_decoder"), config)?;
    specs.extend(source.into_taken());
    Ok((SeedPixelsNetwork::joined(tokenizer, pixels, config), specs))
}
