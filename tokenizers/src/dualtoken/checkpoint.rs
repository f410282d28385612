//! Loading, starting and saving.

use std::path::Path;

use burn::tensor::Device;
use tessera_layers::checkpoint::{
    CheckpointError, ContentHash, Weights, canonical_json, load_strict_renamed, save_module,
};
use tessera_layers::{ParamSource, ParamSpec, Params};

use super::{DualToken, DualTokenConfig, DualTokenNetwork, PRESETS};
use crate::narrow;
use crate::{Fingerprint, InputKind, LoadError, ResizeFilter, TokenLayout, TokenizerInfo};

/// The name that the model has for a tensor which an older file calls otherwise: `semantic` and `pixel` became `sem` and
/// `pix`. `None` for all others.
pub fn current_name(name: &str) -> Option<String> {
    let (head, rest) = name.split_once('.')?;
    let (part, kind) = head.split_once('_')?;
    let kind = match kind {
        "semantic" => "sem",
        "pixel" => "pix",
        _ => return None,
    };
    matches!(part, "prequant" | "postquant" | "quantizer").then(|| format!("{part}_{kind}.{rest}"))
}

/// The tensors of a checkpoint, by released name and shape; allocates no weights.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn listing(config: &DualTokenConfig) -> Result<Vec<ParamSpec>, LoadError> {
    config.check()?;
    let source = ParamSource::listing();
    DualTokenNetwork::new(&source.root(), config)?;
    Ok(source.into_taken())
}

/// Makes the model of a checkpoint that holds exactly its tensors. Also returns its parameters by released name.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite.
pub fn load(
    config: &DualTokenConfig,
    weights: &Weights,
    device: &Device,
) -> Result<(DualToken, Vec<ParamSpec>), LoadError> {
    config.check()?;
    let make = |params: &Params| DualTokenNetwork::new(params, config);
    let (mut network, specs, hash) = load_strict_renamed(weights, &[], current_name, device, make)?;
    network.share_codebooks();
    Ok((DualToken::new(network, config.clone(), info(config, &specs, &hash), device), specs))
}

/// A model with starting values drawn from `seed`, and its parameters by released name.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn random(config: &DualTokenConfig, seed: u64, device: &Device) -> Result<(DualToken, Vec<ParamSpec>), LoadError> {
    from_seed(config, ParamSource::seeded(seed, device), device)
}

/// As [`random`], with starting values for widths well below 512: matrices by the number of their inputs in place of a deviation of
/// 0.02.
///
/// # Errors
/// As [`random`].
pub fn random_narrow(
    config: &DualTokenConfig,
    seed: u64,
    device: &Device,
) -> Result<(DualToken, Vec<ParamSpec>), LoadError> {
    from_seed(config, ParamSource::seeded_with(seed, device, &narrow::start), device)
}

fn from_seed(
    config: &DualTokenConfig,
    source: ParamSource,
    device: &Device,
) -> Result<(DualToken, Vec<ParamSpec>), LoadError> {
    config.check()?;
    let mut network = DualTokenNetwork::new(&source.root(), config)?;
    network.share_codebooks();
    let hash = source.content_hash();
    let specs = source.into_taken();
    Ok((DualToken::new(network, config.clone(), info(config, &specs, &hash), device), specs))
}

/// Writes the network's parameters (those of `specs`) as a checkpoint of the released layout, a shared codebook under every
/// depth.
///
/// # Errors
/// [`CheckpointError`] if the file cannot be written or a value is not finite.
pub fn save(network: &DualTokenNetwork, specs: &[ParamSpec], path: &Path) -> Result<(), CheckpointError> {
    save_module(network, specs, path, Default::default())
}

fn info(config: &DualTokenConfig, specs: &[ParamSpec], hash: &ContentHash) -> TokenizerInfo {
    let inner = &config.rqvaesiglip;
    let vocab = |codes: Vec<usize>| codes.into_iter().map(|codes| u32::try_from(codes).unwrap_or(u32::MAX));
    let [height, width] = config.code_grid().map(|cells| u32::try_from(cells).unwrap_or(u32::MAX));
    TokenizerInfo {
        architecture: "dualtoken",
        preset: PRESETS.into_iter().find(|name| DualTokenConfig::preset(name).as_ref() == Some(config)),
        input: InputKind::Images,
        image_size: Some([config.image_size(); 2]),
        patch: config.siglip_config.vision_config.patch_size,
        resize: ResizeFilter::Bicubic,
        layout: TokenLayout::Grid { height, width },
        vocab: vocab(inner.vq_pix.sizes().codes).chain(vocab(inner.vq_sem.sizes().codes)).collect(),
        prefix_decodes: false,
        is_sampled: false,
        parameters: specs.iter().map(|spec| spec.shape.iter().product::<usize>()).sum(),
        fingerprint: Fingerprint(hash.finish(&canonical_json(&config.to_value()))),
    }
}
