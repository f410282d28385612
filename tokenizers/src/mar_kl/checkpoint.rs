//! Loading and starting.

use burn::tensor::{Device, Tensor};
use tessera_layers::checkpoint::{ContentHash, Weights, canonical_json};
use tessera_layers::{ParamSource, ParamSpec, Params, Trace, load_strict};

use super::{MarKl, MarKlConfig, PRESET};
use crate::autoencoder_kl::Posterior;
use crate::latent_codec::{LatentCodec, LatentInfo, LatentNetwork};
use crate::{Fingerprint, LoadError};

/// What the released file holds of the losses that trained it.
const LOSSES: &str = "loss.";

/// The tensors of a checkpoint, by released name and shape; allocates no weights.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn listing(config: &MarKlConfig) -> Result<Vec<ParamSpec>, LoadError> {
    config.check()?;
    let source = ParamSource::listing();
    MarKl::new(&source.root(), config)?;
    Ok(source.into_taken())
}

/// Makes the network of a checkpoint that holds exactly its tensors, but for those of losses. Also returns which model it is.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite.
pub fn load(config: &MarKlConfig, weights: &Weights, device: &Device) -> Result<(MarKl, Fingerprint), LoadError> {
    config.check()?;
    let entries = weights.entries();
    let losses: Vec<&str> =
        entries.iter().map(|entry| entry.name.as_str()).filter(|name| name.starts_with(LOSSES)).collect();
    let make = |params: &Params| MarKl::new(params, config);
    let (network, _, hash) = load_strict(weights, &losses, device, make)?;
    Ok((network, fingerprint(config, &hash)))
}

/// The network as a codec of latents.
pub(crate) fn open(config: &MarKlConfig, weights: &Weights, device: &Device) -> Result<LatentCodec, LoadError> {
    let (network, fingerprint) = load(config, weights, device)?;
    let info = LatentInfo {
        architecture: "mar-kl",
        preset: (*config == MarKlConfig::default()).then_some(PRESET),
        usual_side: config.resolution,
        patch: config.downsampling(),
        channels: config.embed_dim,
        scaling_factor: config.scaling_factor,
        fingerprint,
    };
    Ok(LatentCodec::new(network, info, device))
}

impl LatentNetwork for MarKl {
    fn latents(&self, images: Tensor<4>) -> Tensor<4> {
        Posterior::new(self.moments(images, &mut Trace::none())).mean
    }

    fn picture(&self, latents: Tensor<4>) -> Tensor<4> {
        self.decode(latents, &mut Trace::none())
    }
}

/// A network with starting values drawn from `seed`.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn random(config: &MarKlConfig, seed: u64, device: &Device) -> Result<(MarKl, Fingerprint), LoadError> {
    config.check()?;
    let source = ParamSource::seeded(seed, device);
    let network = MarKl::new(&source.root(), config)?;
    let hash = source.content_hash();
    Ok((network, fingerprint(config, &hash)))
}

fn fingerprint(config: &MarKlConfig, hash: &ContentHash) -> Fingerprint {
    Fingerprint(hash.finish(&canonical_json(&config.to_value())))
}
