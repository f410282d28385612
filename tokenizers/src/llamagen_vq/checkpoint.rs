//! Loading and starting.

use burn::tensor::Device;
use tessera_layers::checkpoint::{ContentHash, Weights, canonical_json};
use tessera_layers::{ParamSource, ParamSpec, Params, load_strict};

use super::{LlamaGenVq, LlamaGenVqConfig, LlamaGenVqNetwork, PRESETS};
use crate::{Fingerprint, InputKind, LoadError, ResizeFilter, TokenLayout, TokenizerInfo};

/// Statistics of the codes' use that released files carry.
pub(crate) const STATISTICS: &str = "quantize.codebook_used";

/// The tensors of a checkpoint, by released name and shape; allocates no weights.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn listing(config: &LlamaGenVqConfig) -> Result<Vec<ParamSpec>, LoadError> {
    config.check()?;
    let source = ParamSource::listing();
    LlamaGenVqNetwork::new(&source.root(), config)?;
    Ok(source.into_taken())
}

/// Makes the model of a checkpoint that holds exactly its tensors, but for statistics of the codes' use. Also returns its
/// parameters by released name.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite.
pub fn load(
    config: &LlamaGenVqConfig,
    weights: &Weights,
    device: &Device,
) -> Result<(LlamaGenVq, Vec<ParamSpec>), LoadError> {
    config.check()?;
    let make = |params: &Params| LlamaGenVqNetwork::new(params, config);
    let (network, specs, hash) = load_strict(weights, &[STATISTICS], device, make)?;
    Ok((LlamaGenVq::new(network, info(config, &specs, &hash), device), specs))
}

/// A model with starting values drawn from `seed`, and its parameters by released name.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn random(
    config: &LlamaGenVqConfig,
    seed: u64,
    device: &Device,
) -> Result<(LlamaGenVq, Vec<ParamSpec>), LoadError> {
    config.check()?;
    let source = ParamSource::seeded(seed, device);
    let network = LlamaGenVqNetwork::new(&source.root(), config)?;
    let hash = source.content_hash();
    let specs = source.into_taken();
    Ok((LlamaGenVq::new(network, info(config, &specs, &hash), device), specs))
}

fn info(config: &LlamaGenVqConfig, specs: &[ParamSpec], hash: &ContentHash) -> TokenizerInfo {
    let patch = config.downsampling();
    let cells = config.image_size.map_or(1, |side| u32::try_from(side / patch).unwrap_or(u32::MAX));
    TokenizerInfo {
        architecture: "llamagen-vq",
        preset: PRESETS.into_iter().find(|name| LlamaGenVqConfig::preset(name).as_ref() == Some(config)),
        input: InputKind::Images,
        image_size: config.image_size.map(|side| [side, side]),
        patch,
        resize: ResizeFilter::Bicubic,
        layout: TokenLayout::Grid { height: cells, width: cells },
        vocab: vec![u32::try_from(config.codebook_size).unwrap_or(u32::MAX)],
        prefix_decodes: false,
        is_sampled: false,
        parameters: specs.iter().map(|spec| spec.shape.iter().product::<usize>()).sum(),
        fingerprint: Fingerprint(hash.finish(&canonical_json(&config.to_value()))),
    }
}
