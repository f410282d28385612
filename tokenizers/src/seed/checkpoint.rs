//! Loading, starting and saving.

use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use tessera_layers::checkpoint::{CheckpointError, ContentHash, TensorEntry, Weights, compare, save_module};
use tessera_layers::params::entries;
use tessera_layers::{ParamResult, ParamSource, ParamSpec, Params};

use super::config::{EncoderConfig, SeedConfig};
use super::contrastive_config::ContrastiveConfig;
use super::surplus::without_surplus;
use super::{Seed, SeedContrastive, SeedNetwork};
use crate::LoadError;

/// What the names of the encoder's parameters begin with: frozen after the first training stage.
pub const ENCODER: [&str; 4] = ["visual_encoder.", "ln_vision.", "Qformer.", "query_tokens"];

/// The positions of the ViT, which may be those of another grid.
const POSITIONS: &str = "visual_encoder.pos_embed";

/// The tensors of a checkpoint, by released name and shape; allocates no weights. The released files hold them in two parts and
/// carry more beside them, see [`is_known_surplus`](super::is_known_surplus).
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn listing(config: &SeedConfig) -> Result<Vec<ParamSpec>, LoadError> {
    config.check()?;
    let source = ParamSource::listing();
    SeedNetwork::new(&source.root(), config, rows(&config.encoder))?;
    Ok(source.into_taken())
}

/// Makes the tokenizer of a checkpoint: the two files of SEED-2 or the three of SEED-1 together (see [`Weights::open`]), or one file
/// of everything. f16 is widened to f32; positions of another grid are resized.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit, the file of the ViT is not there, or a tensor is missing, misshapen, not
/// finite, or surplus and none of those that published files are known to carry.
pub fn load(config: &SeedConfig, weights: &Weights, device: &Device) -> Result<Seed, LoadError> {
    let (network, specs, hash) = load_network(config, weights, device)?;
    Seed::new(network, config.clone(), specs, &hash, device)
}

/// [`load`] without the tokenizer around the network: for training, on an autodiff device. Also returns the parameters by released
/// name, and the hash of what was read.
///
/// # Errors
/// As [`load`].
pub fn load_network(
    config: &SeedConfig,
    weights: &Weights,
    device: &Device,
) -> Result<(SeedNetwork, Vec<ParamSpec>, ContentHash), LoadError> {
    config.check()?;
    let make = |params: &Params, rows: usize| SeedNetwork::new(params, config, rows);
    let (mut network, specs, hash) = load_known(&config.encoder, weights, device, make)?;
    network.fit_positions();
    Ok((network, specs, hash))
}

/// Makes the network of the first training stage of a checkpoint. Also returns its parameters by released name.
///
/// # Errors
/// As [`load`].
pub fn load_contrastive(
    config: &ContrastiveConfig,
    weights: &Weights,
    device: &Device,
) -> Result<(SeedContrastive, Vec<ParamSpec>), LoadError> {
    config.check()?;
    let make = |params: &Params, rows: usize| SeedContrastive::new(params, config, rows);
    let (mut network, specs, _) = load_known(&config.encoder, weights, device, make)?;
    network.fit_positions();
    Ok((network, specs))
}

/// A tokenizer with starting values drawn from `seed`.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn random(config: &SeedConfig, seed: u64, device: &Device) -> Result<Seed, LoadError> {
    config.check()?;
    let source = ParamSource::seeded(seed, device);
    let network = SeedNetwork::new(&source.root(), config, rows(&config.encoder))?;
    let hash = source.content_hash();
    Seed::new(network, config.clone(), source.into_taken(), &hash, device)
}

/// Writes the parameters of a network (those of `specs`) as one safetensors file of the released names.
///
/// # Errors
/// [`CheckpointError`] if the file cannot be written or a value is not finite.
pub fn save<M: Module>(network: &M, specs: &[ParamSpec], path: &Path) -> Result<(), CheckpointError> {
    save_module(network, specs, path, Default::default())
}

/// Rows of the model's own positions.
pub(crate) fn rows(encoder: &EncoderConfig) -> usize {
    encoder.vit.grid() * encoder.vit.grid() + 1
}

/// Rows of the file's positions, if they are those of a grid.
fn rows_found(found: &[TensorEntry]) -> Option<usize> {
    const MOST_ROWS: usize = 1 << 20;
    let positions = found.iter().find(|entry| entry.name == POSITIONS)?;
    let [1, rows, _] = positions.shape.as_slice() else { return None };
    let side = rows.checked_sub(1)?.isqrt();
    (side > 0 && *rows <= MOST_ROWS && side * side + 1 == *rows).then_some(*rows)
}

pub(crate) fn load_known<M>(
    encoder: &EncoderConfig,
    weights: &Weights,
    device: &Device,
    make: impl Fn(&Params, usize) -> ParamResult<M>,
) -> Result<(M, Vec<ParamSpec>, ContentHash), LoadError> {
    let mut found = weights.entries();
    // A scalar of the released file, which has one dimension here.
    for entry in found.iter_mut().filter(|entry| entry.name == "temp" && entry.shape.is_empty()) {
        entry.shape.push(1);
    }
    let rows = rows_found(&found).unwrap_or_else(|| rows(encoder));
    let listing = ParamSource::listing();
    make(&listing.root(), rows)?;
    let specs = listing.into_taken();
    let found = without_surplus(&specs, encoder, found);
    if !found.iter().any(|entry| entry.name.starts_with("visual_encoder.")) {
        let path = weights.path();
        return Err(LoadError::Checkpoint(CheckpointError::Folder {
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
            expected: "SEED's ViT in the weights themselves, or as eva_vit_g.pth beside seed_quantizer.pt or \
                       seed_tokenizer.pth (it was released apart, with LAVIS)",
            found: format!("only {}", path.file_name().unwrap_or_default().to_string_lossy()),
        }));
    }
    compare(weights.path(), &entries(&specs), &found, None)?;
    let source = ParamSource::weights(weights, "", device);
    let network = make(&source.root(), rows)?;
    let hash = source.content_hash();
    let mut specs = source.into_taken();
    for spec in specs.iter_mut().filter(|spec| spec.name == POSITIONS) {
        spec.shape = vec![1, self::rows(encoder), encoder.vit.embed_dim];
    }
    Ok((network, specs, hash))
}
