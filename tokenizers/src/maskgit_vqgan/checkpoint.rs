//! Loading and starting.

use burn::tensor::Device;
use tessera_layers::checkpoint::{ContentHash, Weights, canonical_json};
use tessera_layers::{ParamSource, ParamSpec, Params, load_strict};

use super::{MaskGitVqgan, MaskGitVqganConfig, PRESET, VqganNetwork};
use crate::{Fingerprint, InputKind, LoadError, ResizeFilter, TokenLayout, TokenizerInfo};

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
    Ok(MaskGitVqgan::new(network, info(config, &specs, &hash), device))
}

/// A model with starting values drawn from `seed`.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn random(config: &MaskGitVqganConfig, seed: u64, device: &Device) -> Result<MaskGitVqgan, LoadError> {
    let source = ParamSource::seeded(seed, device);
    let network = VqganNetwork::new(&source.root(), config)?;
    let hash = source.content_hash();
    Ok(MaskGitVqgan::new(network, info(config, &source.into_taken(), &hash), device))
}

fn info(config: &MaskGitVqganConfig, specs: &[ParamSpec], hash: &ContentHash) -> TokenizerInfo {
    TokenizerInfo {
        architecture: "maskgit-vqgan",
        preset: (*config == MaskGitVqganConfig::default()).then_some(PRESET),
        input: InputKind::Images,
        image_size: None,
        patch: config.vqgan.downsampling(),
        resize: ResizeFilter::Bicubic,
        layout: TokenLayout::Grid { height: 1, width: 1 },
        vocab: vec![u32::try_from(config.num_embeddings).unwrap_or(u32::MAX)],
        prefix_decodes: false,
        is_sampled: false,
        parameters: specs.iter().map(|spec| spec.shape.iter().product::<usize>()).sum(),
        fingerprint: Fingerprint(hash.finish(&canonical_json(&config.to_value()))),
    }
}
