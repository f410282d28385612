//! Training One-D-Piece and TiTok: the single stage, and both of the two.

use std::path::Path;

use burn::tensor::{Device, Int, Tensor};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tessera_layers::checkpoint::{Weights, locate, read_config};
use tessera_layers::{ParamSpec, Trace};
use tessera_tokenizers::maskgit_vqgan::{self, MaskGitVqgan, MaskGitVqganConfig};
use tessera_tokenizers::one_d_piece::train::{PixelLosses, Quantizing, pixel_losses, stage1_losses};
use tessera_tokenizers::one_d_piece::{self, Family, OneDPieceConfig, OneDPieceNetwork};
use tessera_tokenizers::{LoadError, ModelConfig};

use super::architecture::open_weights;
use super::codebook::{Codebook, EMBEDDING};
use super::objective::{Losses, Objective};
use super::parameters::{Parameters, read_named};
use super::validation::token_counts;
use super::{ModelSection, Stage, Start, TrainConfig, TrainError};

/// One-D-Piece (tail token drop) or TiTok (all tokens), in one of its training stages.
pub struct OneDPieceObjective {
    config: OneDPieceConfig,
    specs: Vec<ParamSpec>,
    stage: Stage,
    free_steps: u64,
    proxy: Option<MaskGitVqgan>,
}

impl OneDPieceObjective {
    /// The objective and the network at its start, on an autodiff device.
    ///
    /// # Errors
    /// [`TrainError`] if the stage does not fit the architecture, or weights cannot be loaded.
    pub fn new(
        config: &TrainConfig,
        architecture: OneDPieceConfig,
        device: &Device,
    ) -> Result<(Self, OneDPieceNetwork), TrainError> {
        let model = &config.model;
        if let Some(vae) = &model.vae {
            return Err(TrainError::Invalid {
                key: "model.vae",
                expected: "none for One-D-Piece and TiTok".to_owned(),
                found: vae.display().to_string(),
            });
        }
        let stage = config.loss.stage;
        let fits = match stage {
            Stage::Single => !architecture.is_legacy,
            Stage::Proxy => architecture.is_legacy && !architecture.finetune_decoder,
            Stage::Decoder => architecture.has_pixel_decoder(),
            Stage::Tower => false,
        };
        if !fits {
            let (legacy, pixels) = (architecture.is_legacy, architecture.finetune_decoder);
            return Err(TrainError::Invalid {
                key: "loss.stage",
                expected:
                    "single for is_legacy false, proxy for is_legacy true without finetune_decoder, decoder with it"
                        .to_owned(),
                found: format!("{stage:?} for is_legacy {legacy}, finetune_decoder {pixels}"),
            });
        }
        if let Some(proxy) = &model.proxy
            && (stage == Stage::Single || stage == Stage::Decoder && model.from.is_none())
        {
            return Err(TrainError::Invalid {
                key: "model.proxy",
                expected: "none, unless the stage is proxy, or decoder with model.from".to_owned(),
                found: proxy.display().to_string(),
            });
        }
        let (network, specs) = match (stage, &model.from, &model.proxy) {
            (Stage::Decoder, Some(first), Some(proxy)) => second_stage(&architecture, first, proxy, device)?,
            _ => start(model, &architecture, config.run.seed, device)?.into_network(),
        };
        let proxy = match (stage, &model.proxy) {
            (Stage::Proxy, Some(path)) => Some(read_proxy(path, device)?),
            (Stage::Proxy, None) => {
                return Err(TrainError::Invalid {
                    key: "model.proxy",
                    expected: "the MaskGIT-VQGAN whose codes are the target of this stage".to_owned(),
                    found: "nothing".to_owned(),
                });
            }
            _ => None,
        };
        let free_steps = config.codebook.free_steps;
        Ok((Self { config: architecture, specs, stage, free_steps, proxy }, network))
    }
}

fn start(
    model: &ModelSection,
    config: &OneDPieceConfig,
    seed: u64,
    device: &Device,
) -> Result<one_d_piece::OneDPiece, TrainError> {
    let Some(from) = &model.from else {
        return Ok(match model.start {
            Start::Released => one_d_piece::random(config, seed, device)?,
            Start::Narrow => one_d_piece::random_narrow(config, seed, device)?,
        });
    };
    Ok(one_d_piece::load(config, &open_weights(from)?, device)?)
}

/// The start of the second stage, as the reference makes it: the first stage's tensors, and the proxy tokenizer's codebook
/// and decoder under names that begin with `pixel_`.
fn second_stage(
    config: &OneDPieceConfig,
    first: &Path,
    proxy: &Path,
    device: &Device,
) -> Result<(OneDPieceNetwork, Vec<ParamSpec>), TrainError> {
    const PREFIX: &str = "pixel_";
    let (network, specs) = one_d_piece::random(config, 0, device)?.into_network();
    let (pixels, rest): (Vec<_>, Vec<_>) = specs.iter().cloned().partition(|spec| spec.name.starts_with(PREFIX));
    let plain = device.clone().without_autodiff();
    let mut values = read_named(&open_weights(first)?, &rest, |_| true, &plain)?;
    let unprefixed = |spec: ParamSpec| ParamSpec { name: spec.name.replacen(PREFIX, "", 1), ..spec };
    let pixels: Vec<_> = pixels.into_iter().map(unprefixed).collect();
    for (name, value) in read_named(&open_weights(proxy)?, &pixels, |name| !name.contains("encoder."), &plain)? {
        values.insert(format!("{PREFIX}{name}"), value);
    }
    let network = Parameters::new(&specs).map(network, |spec, _| values.remove(&spec.name));
    Ok((network, specs))
}

fn read_proxy(path: &Path, device: &Device) -> Result<MaskGitVqgan, TrainError> {
    let files = locate(&path.to_string_lossy()).map_err(LoadError::from)?;
    let config = match &files.config {
        Some(config) => {
            let document = read_config(config).map_err(LoadError::from)?;
            match ModelConfig::from_value(&document).map_err(LoadError::from)? {
                ModelConfig::MaskGitVqgan(config) => config,
                _ => {
                    return Err(TrainError::Invalid {
                        key: "model.proxy",
                        expected: "a MaskGIT-VQGAN".to_owned(),
                        found: "another architecture".to_owned(),
                    });
                }
            }
        }
        None => MaskGitVqganConfig::default(),
    };
    let weights = Weights::open(&files.weights)?;
    Ok(maskgit_vqgan::load(&config, &weights, device)?)
}

impl Objective for OneDPieceObjective {
    type Network = OneDPieceNetwork;
    type Code = Tensor<2, Int>;

    fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    fn is_trained(&self, name: &str) -> bool {
        let is_frozen = name.starts_with("encoder.") || name.starts_with("quantize.") || name == "latent_tokens";
        self.stage != Stage::Decoder || !is_frozen
    }

    fn image_size(&self) -> usize {
        self.config.crop_size
    }

    fn token_counts(&self) -> Vec<usize> {
        let all = self.config.num_latent_tokens;
        match self.config.family() {
            Family::OneDPiece => token_counts(all),
            Family::TiTok => vec![all],
        }
    }

    fn losses(
        &self,
        network: &OneDPieceNetwork,
        images: Tensor<4>,
        step: u64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Losses, TrainError> {
        let all = self.config.num_latent_tokens;
        let kept = if self.config.family() == Family::OneDPiece { rng.random_range(1..=all) } else { all };
        let unfit = || TrainError::Invalid {
            key: "loss.stage",
            expected: "a network that this stage can train".to_owned(),
            found: "one of another stage".to_owned(),
        };
        if let Some(proxy) = &self.proxy {
            let proxy = proxy.network();
            let targets = proxy.codes(proxy.latents(images.clone(), &mut Trace::none()));
            let losses = stage1_losses(network, images, targets, kept, 1.0).ok_or_else(unfit)?;
            return Ok(Losses {
                reconstruction: losses.cross_entropy,
                quantizer: Some(losses.quantizer),
                others: Vec::new(),
                indices: Some(losses.indices),
                latents: Some(losses.latents),
                image: None,
            });
        }
        let quantizing = match self.stage {
            Stage::Decoder => Quantizing::Frozen,
            _ if step < self.free_steps => Quantizing::Free,
            _ => Quantizing::Trained,
        };
        let PixelLosses { reconstruction, quantizer, indices, latents, image } =
            pixel_losses(network, images, kept, quantizing).ok_or_else(unfit)?;
        Ok(Losses {
            reconstruction,
            quantizer,
            others: Vec::new(),
            indices,
            latents: Some(latents),
            image: Some(image.into()),
        })
    }

    fn codes(&self) -> usize {
        self.config.codebook_size
    }

    fn codebook<'a>(&self, network: &'a mut OneDPieceNetwork) -> Option<Codebook<'a>> {
        Some(Codebook { names: EMBEDDING, codes: network.quantizer_mut() })
    }

    fn reconstruct(&self, network: &OneDPieceNetwork, ids: &Tensor<2, Int>, keep: usize) -> Option<Tensor<4>> {
        let [batch, all] = ids.dims();
        let vectors = network.quantizer().vectors(ids.clone().slice([0..batch, 0..keep.clamp(1, all)]));
        network.decode(vectors, &mut Trace::none())
    }

    fn encode(&self, network: &OneDPieceNetwork, images: Tensor<4>) -> Tensor<2, Int> {
        network.encode(images)
    }

    fn ids(code: &Tensor<2, Int>) -> Option<Tensor<2, Int>> {
        Some(code.clone())
    }

    fn config(&self, _network: &OneDPieceNetwork, _sample: Option<Tensor<4>>) -> serde_json::Value {
        self.config.to_value()
    }

    fn reconstruction_name(&self) -> &'static str {
        if self.stage == Stage::Proxy { "cross_entropy" } else { "mse" }
    }
}
