//! Loading, starting and saving.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use tessera_layers::checkpoint::{CheckpointError, ContentHash, Weights, canonical_json, save_module};
use tessera_layers::{ParamSource, ParamSpec, Params, load_strict};

use super::{PRESETS, SemanticEncoder, SharedCodes, TokenFlow, TokenFlowConfig, TokenFlowNetwork};
use crate::narrow;
use crate::{Fingerprint, InputKind, LoadError, ResizeFilter, TokenizerInfo};

/// Tensors of released files that hold no parameter: which codes were used of late, and the constants of a normalisation.
pub const USAGE: [&str; 3] = ["quantize.codebook_used", "scaling_layer.shift", "scaling_layer.scale"];

/// The tensors of a checkpoint, by released name and shape; allocates no weights.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn listing(config: &TokenFlowConfig) -> Result<Vec<ParamSpec>, LoadError> {
    config.check()?;
    let source = ParamSource::listing();
    TokenFlowNetwork::new(&source.root(), config, true)?;
    Ok(source.into_taken())
}

/// Makes the model of a checkpoint that holds exactly its tensors, but for [`USAGE`]. What is never run of a SigLIP (its last
/// block and what stands behind it) may be there or not. Also returns the parameters by released name.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite.
pub fn load(
    config: &TokenFlowConfig,
    weights: &Weights,
    device: &Device,
) -> Result<(TokenFlow, Vec<ParamSpec>), LoadError> {
    config.check()?;
    let last = match &config.semantic_encoder {
        SemanticEncoder::SiglipVision(sizes) => sizes.layers.saturating_sub(1),
        SemanticEncoder::ClipVit(_) => 0,
    };
    let rest = [
        "encoder_vqkd.vision_model.head.".to_owned(),
        "encoder_vqkd.vision_model.post_layernorm.".to_owned(),
        format!("encoder_vqkd.vision_model.encoder.layers.{last}."),
    ];
    let has_rest = weights.entries().iter().any(|entry| rest.iter().any(|prefix| entry.name.starts_with(prefix)));
    let make = |params: &Params| TokenFlowNetwork::new(params, config, has_rest);
    let (network, specs, hash) = load_strict(weights, &USAGE, device, make)?;
    Ok((TokenFlow::new(network, config.clone(), info(config, &specs, &hash), device), specs))
}

/// A model with starting values drawn from `seed`, and its parameters by released name.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn random(config: &TokenFlowConfig, seed: u64, device: &Device) -> Result<(TokenFlow, Vec<ParamSpec>), LoadError> {
    from_seed(config, ParamSource::seeded(seed, device), device)
}

/// As [`random`], with starting values for widths well below 512: matrices by the number of their inputs in place of a deviation of
/// 0.02.
///
/// # Errors
/// As [`random`].
pub fn random_narrow(
    config: &TokenFlowConfig,
    seed: u64,
    device: &Device,
) -> Result<(TokenFlow, Vec<ParamSpec>), LoadError> {
    from_seed(config, ParamSource::seeded_with(seed, device, &narrow::start), device)
}

fn from_seed(
    config: &TokenFlowConfig,
    source: ParamSource,
    device: &Device,
) -> Result<(TokenFlow, Vec<ParamSpec>), LoadError> {
    config.check()?;
    let network = TokenFlowNetwork::new(&source.root(), config, true)?;
    let hash = source.content_hash();
    let specs = source.into_taken();
    Ok((TokenFlow::new(network, config.clone(), info(config, &specs, &hash), device), specs))
}

/// Writes the network's parameters (those of `specs`) as a checkpoint of the released layout.
///
/// # Errors
/// [`CheckpointError`] if the file cannot be written or a value is not finite.
pub fn save(network: &TokenFlowNetwork, specs: &[ParamSpec], path: &Path) -> Result<(), CheckpointError> {
    save_module(network, specs, path, Default::default())
}

/// The codebooks alone, of a checkpoint's file: what a generator of these tokens needs of the tokenizer.
///
/// # Errors
/// [`LoadError`] if a codebook is missing, of another shape than the configuration says, or not finite.
pub fn codes(config: &TokenFlowConfig, weights: &Weights, device: &Device) -> Result<SharedCodes, LoadError> {
    let entries = weights.entries();
    let table = |name: &str, width: usize| -> Result<Tensor<2>, LoadError> {
        let shape = [config.codebook_size, width];
        let found = entries.iter().find(|entry| entry.name == name).map(|entry| entry.shape.as_slice());
        if found != Some(shape.as_slice()) {
            return Err(LoadError::Checkpoint(CheckpointError::Malformed {
                path: weights.path().to_owned(),
                expected: "the codebooks of the TokenFlow that the generator learnt from",
                found: format!("\"{name}\" is {found:?} where {shape:?} was expected"),
            }));
        }
        Ok(Tensor::from_data(TensorData::new(weights.read_f32(name)?, shape), device))
    };
    Ok(SharedCodes::new(
        table("quantize.embedding_vqkd.weight", config.semantic_code_dim)?,
        table("quantize.embedding_vqgan.weight", config.codebook_embed_dim)?,
    ))
}

fn info(config: &TokenFlowConfig, specs: &[ParamSpec], hash: &ContentHash) -> TokenizerInfo {
    TokenizerInfo {
        architecture: "tokenflow",
        preset: PRESETS.into_iter().find(|name| TokenFlowConfig::preset(name).as_ref() == Some(config)),
        input: InputKind::Images,
        image_size: Some([config.image_size; 2]),
        patch: config.patch(),
        resize: ResizeFilter::Bicubic,
        layout: config.scales().layout(),
        vocab: vec![u32::try_from(config.codebook_size).unwrap_or(u32::MAX)],
        prefix_decodes: true,
        is_sampled: false,
        parameters: specs.iter().map(|spec| spec.shape.iter().product::<usize>()).sum(),
        fingerprint: Fingerprint(hash.finish(&canonical_json(&config.to_value()))),
    }
}
