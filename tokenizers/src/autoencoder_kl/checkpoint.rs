//! Loading, starting and saving.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use tessera_layers::checkpoint::{
    CheckpointError, Weights, canonical_json, load_strict_renamed, locate, read_config, save_module,
};
use tessera_layers::{ParamSource, ParamSpec, Params, Trace};

use super::{AutoencoderKl, AutoencoderKlConfig, PRESETS, Posterior};
use crate::latent_codec::{LatentCodec, LatentInfo, LatentNetwork};
use crate::{ConfigError, Fingerprint, LoadError};

/// The tensors of a checkpoint, by released name and shape; allocates no weights.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn listing(config: &AutoencoderKlConfig) -> Result<Vec<ParamSpec>, LoadError> {
    config.check()?;
    let source = ParamSource::listing();
    AutoencoderKl::new(&source.root(), config)?;
    Ok(source.into_taken())
}

/// The model's name of a tensor that older exports call otherwise, whatever stands before it: attention projections were
/// `query`, `key`, `value` and `proj_attn`, and are `to_q`, `to_k`, `to_v` and `to_out.0`. `None` for any other name.
///
/// For [`load_strict_renamed`], also where an autoencoder is part of a larger file.
pub fn current_name(name: &str) -> Option<String> {
    let (rest, kind) = name.rsplit_once('.')?;
    let (layer, projection) = rest.rsplit_once('.')?;
    let (_, place) = layer.rsplit_once("attentions.")?;
    let current = match projection {
        "query" => "to_q",
        "key" => "to_k",
        "value" => "to_v",
        "proj_attn" => "to_out.0",
        _ => return None,
    };
    let is_number = !place.is_empty() && place.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && matches!(kind, "weight" | "bias")).then(|| format!("{layer}.{current}.{kind}"))
}

/// Makes the network of a checkpoint that holds exactly its tensors, under their names or the older ones that
/// [`current_name`] knows. Also returns its parameters by released name.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite.
pub fn load(
    config: &AutoencoderKlConfig,
    weights: &Weights,
    device: &Device,
) -> Result<(AutoencoderKl, Vec<ParamSpec>), LoadError> {
    config.check()?;
    let make = |params: &Params| AutoencoderKl::new(params, config);
    let (network, specs, _) = load_strict_renamed(weights, &[], current_name, device, make)?;
    Ok((network, specs))
}

/// The network as a codec of latents.
pub(crate) fn open(config: &AutoencoderKlConfig, weights: &Weights, device: &Device) -> Result<LatentCodec, LoadError> {
    config.check()?;
    let make = |params: &Params| AutoencoderKl::new(params, config);
    let (network, _, hash) = load_strict_renamed(weights, &[], current_name, device, make)?;
    let info = LatentInfo {
        architecture: "autoencoder-kl",
        preset: PRESETS.into_iter().find(|name| AutoencoderKlConfig::preset(name).as_ref() == Some(config)),
        usual_side: config.sample_size.unwrap_or(256),
        patch: config.downsampling(),
        channels: config.latent_channels,
        scaling_factor: config.scaling_factor.unwrap_or(1.0),
        fingerprint: Fingerprint(hash.finish(&canonical_json(&config.to_value()))),
    };
    Ok(LatentCodec::new(network, info, device))
}

impl LatentNetwork for AutoencoderKl {
    fn latents(&self, images: Tensor<4>) -> Tensor<4> {
        Posterior::new(self.moments(images, &mut Trace::none())).mean
    }

    fn picture(&self, latents: Tensor<4>) -> Tensor<4> {
        self.decode(latents, &mut Trace::none())
    }
}

/// A network with starting values drawn from `seed`, and its parameters by released name.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn random(
    config: &AutoencoderKlConfig,
    seed: u64,
    device: &Device,
) -> Result<(AutoencoderKl, Vec<ParamSpec>), LoadError> {
    config.check()?;
    let source = ParamSource::seeded(seed, device);
    let network = AutoencoderKl::new(&source.root(), config)?;
    Ok((network, source.into_taken()))
}

/// Opens an autoencoder: a folder, a weight file with its configuration beside it, or a hub id that lies in the hub's cache
/// on disk.
///
/// # Errors
/// [`LoadError`] if the files are not found, or as [`load`].
pub fn from_pretrained(spec: &str, device: &Device) -> Result<(AutoencoderKl, AutoencoderKlConfig), LoadError> {
    let files = locate(spec)?;
    let weights = Weights::open(&files.weights)?;
    let Some(path) = &files.config else {
        let found = format!("{} has no config.json beside it", weights.path().display());
        return Err(LoadError::Config(ConfigError::UnknownArchitecture(found)));
    };
    let config = AutoencoderKlConfig::from_value(&read_config(path)?);
    let config = config.map_err(|error| LoadError::from(error).in_file(path))?;
    let (network, _) = load(&config, &weights, device)?;
    Ok((network, config))
}

/// Writes the network's parameters (those of `specs`) as a checkpoint of the released layout.
///
/// # Errors
/// [`CheckpointError`] if the file cannot be written or a value is not finite.
pub fn save(network: &AutoencoderKl, specs: &[ParamSpec], path: &Path) -> Result<(), CheckpointError> {
    save_module(network, specs, path, Default::default())
}
