//! Every architecture's configuration in one type.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::Device;
use serde_json::Value;
use tessera_layers::ParamSpec;
use tessera_layers::checkpoint::{
    CheckpointError, Differences, Precision, Renames, TensorEntry, Weights, differences, write_streaming,
};
use tessera_layers::params::entries;

use crate::autoencoder_kl::{self, AutoencoderKlConfig};
use crate::flextok::{self, FlexTokConfig};
use crate::llamagen_vq::{self, LlamaGenVqConfig};
use crate::mar_kl::{self, MarKlConfig};
use crate::maskgit_vqgan::{self, MaskGitVqganConfig};
use crate::one_d_piece::{self, OneDPieceConfig};
use crate::seed::{self, SeedConfig};
use crate::seed_pixels::{self, SeedPixelsConfig};
use crate::vat::{self, VatConfig};
use crate::{ConfigError, LoadError, Tokenizer};

/// The configuration of any tokenizer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "a program holds one or two")]
pub enum ModelConfig {
    /// One-D-Piece or TiTok.
    OneDPiece(OneDPieceConfig),
    /// FlexTok.
    FlexTok(FlexTokConfig),
    /// MaskGIT-VQGAN.
    MaskGitVqgan(MaskGitVqganConfig),
    /// LlamaGen's VQ.
    LlamaGenVq(LlamaGenVqConfig),
    /// VAT.
    Vat(VatConfig),
    /// SEED or SEED-2.
    Seed(SeedConfig),
    /// SEED with a decoder to pixels.
    SeedPixels(SeedPixelsConfig),
    /// MAR's KL autoencoder: continuous latents, opened as a [`MarKl`](mar_kl::MarKl).
    MarKl(MarKlConfig),
    /// KL autoencoder: continuous latents, so it is known here but opened as an
    /// [`AutoencoderKl`](autoencoder_kl::AutoencoderKl).
    AutoencoderKl(AutoencoderKlConfig),
}

impl ModelConfig {
    /// Names that [`ModelConfig::preset`] knows: every released model, and VAT's sizes.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        Self::releases().chain(vat::PRESETS)
    }

    /// Names of released models.
    fn releases() -> impl Iterator<Item = &'static str> {
        let grids = one_d_piece::PRESETS
            .into_iter()
            .chain([maskgit_vqgan::PRESET])
            .chain(llamagen_vq::PRESETS)
            .chain([mar_kl::PRESET])
            .chain(seed::PRESETS);
        grids.chain(autoencoder_kl::PRESETS).chain(flextok::PRESETS)
    }

    /// The released model whose tensors these are, names and shapes, if there is one.
    pub fn release_of(found: &[TensorEntry]) -> Option<&'static str> {
        Self::releases()
            .find(|name| Self::preset(name).is_some_and(|config| matches!(config.differences(found), Ok(None))))
    }

    /// How the tensors of a file differ from those that a checkpoint of this configuration holds; `None` if they do not. Older names,
    /// statistics, and what releases are known to carry beside the model's own are no difference.
    ///
    /// # Errors
    /// [`LoadError`] if the configuration does not fit together.
    pub fn differences(&self, found: &[TensorEntry]) -> Result<Option<Differences>, LoadError> {
        let specs = self.listing()?;
        let found = match self {
            Self::Seed(config) => seed::without_surplus(&specs, &config.encoder, found.iter().cloned()),
            Self::SeedPixels(config) => seed::without_surplus(&specs, &config.seed.encoder, found.iter().cloned()),
            _ => Self::current_names(found),
        };
        Ok(differences(&entries(&specs), &found))
    }

    /// The tensors of a file with the names that the models have for them, where older exports have others, and without
    /// statistics that are no parameters.
    pub fn current_names(found: &[TensorEntry]) -> Vec<TensorEntry> {
        let found = found.iter().filter(|entry| entry.name != llamagen_vq::STATISTICS).cloned().collect();
        Renames::new(found, autoencoder_kl::current_name).entries().to_vec()
    }

    /// The configuration of a released model, or `None` for an unknown name.
    pub fn preset(name: &str) -> Option<Self> {
        if name == maskgit_vqgan::PRESET {
            return Some(Self::MaskGitVqgan(MaskGitVqganConfig::default()));
        }
        if name == mar_kl::PRESET {
            return Some(Self::MarKl(MarKlConfig::default()));
        }
        let autoencoder = || AutoencoderKlConfig::preset(name).map(Self::AutoencoderKl);
        let flextok = || FlexTokConfig::preset(name).map(Self::FlexTok);
        let llamagen = || LlamaGenVqConfig::preset(name).map(Self::LlamaGenVq);
        let seed = || SeedConfig::preset(name).map(Self::Seed);
        let vat = || VatConfig::preset(name).map(Self::Vat);
        let released = OneDPieceConfig::preset(name).map(Self::OneDPiece).or_else(autoencoder).or_else(flextok);
        released.or_else(llamagen).or_else(seed).or_else(vat)
    }

    /// Reads a configuration document and recognises its architecture.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is missing, unknown or does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        if SeedPixelsConfig::describes(document) {
            return SeedPixelsConfig::from_value(document).map(Self::SeedPixels);
        }
        if SeedConfig::describes(document) {
            return SeedConfig::from_value(document).map(Self::Seed);
        }
        if document.get("model").is_some() {
            return OneDPieceConfig::from_value(document).map(Self::OneDPiece);
        }
        if document.get("vqgan").is_some() {
            return MaskGitVqganConfig::from_value(document).map(Self::MaskGitVqgan);
        }
        if LlamaGenVqConfig::describes(document) {
            return LlamaGenVqConfig::from_value(document).map(Self::LlamaGenVq);
        }
        if VatConfig::describes(document) {
            return VatConfig::from_value(document).map(Self::Vat);
        }
        if MarKlConfig::describes(document) {
            return MarKlConfig::from_value(document).map(Self::MarKl);
        }
        if AutoencoderKlConfig::recognises(document) {
            return AutoencoderKlConfig::from_value(document).map(Self::AutoencoderKl);
        }
        if FlexTokConfig::describes(document) {
            return FlexTokConfig::from_value(document).map(Self::FlexTok);
        }
        Err(ConfigError::UnknownArchitecture(
            "the config has no \"model\" section (One-D-Piece, TiTok), no \"vqgan\" section (MaskGIT-VQGAN), no \
             \"encoder_ch_mult\" (LlamaGen VQ), no \"model_type\" that begins with seed (SEED), no \"triplane\" section (VAT), no \
             \"ch_mult\" (MAR), no \
             \"_class_name\": \"AutoencoderKL\" and none of FlexTok's sections"
                .to_owned(),
        ))
    }

    /// The configuration as a released file writes it.
    pub fn to_value(&self) -> Value {
        match self {
            Self::OneDPiece(config) => config.to_value(),
            Self::FlexTok(config) => config.to_value(),
            Self::MaskGitVqgan(config) => config.to_value(),
            Self::LlamaGenVq(config) => config.to_value(),
            Self::Vat(config) => config.to_value(),
            Self::Seed(config) => config.to_value(),
            Self::SeedPixels(config) => config.to_value(),
            Self::MarKl(config) => config.to_value(),
            Self::AutoencoderKl(config) => config.to_value(),
        }
    }

    /// What a weight file of this configuration carries beside its tensors: nothing, but for FlexTok its configuration.
    pub fn metadata(&self) -> HashMap<String, String> {
        match self {
            Self::FlexTok(config) => flextok::metadata(config),
            _ => HashMap::new(),
        }
    }

    /// The tensors that a checkpoint of this configuration holds. Allocates no weights.
    ///
    /// # Errors
    /// [`LoadError`] if the configuration does not fit together.
    pub fn listing(&self) -> Result<Vec<ParamSpec>, LoadError> {
        match self {
            Self::OneDPiece(config) => one_d_piece::listing(config),
            Self::FlexTok(config) => flextok::listing(config),
            Self::MaskGitVqgan(config) => maskgit_vqgan::listing(config),
            Self::LlamaGenVq(config) => llamagen_vq::listing(config),
            Self::Vat(config) => vat::listing(config),
            Self::Seed(config) => seed::listing(config),
            Self::SeedPixels(config) => seed_pixels::listing(config),
            Self::MarKl(config) => mar_kl::listing(config),
            Self::AutoencoderKl(config) => autoencoder_kl::listing(config),
        }
    }

    /// Makes the model of a checkpoint that holds exactly its tensors.
    ///
    /// # Errors
    /// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite; the
    /// message names the released model that the tensors do belong to, if there is one. [`ConfigError::Unsupported`] for a
    /// model that makes no tokens.
    pub fn load(&self, weights: &Weights, device: &Device) -> Result<Box<dyn Tokenizer>, LoadError> {
        let loaded: Result<Box<dyn Tokenizer>, LoadError> = match self {
            Self::OneDPiece(config) => one_d_piece::load(config, weights, device).map(boxed),
            Self::FlexTok(config) => flextok::load(config, weights, device).map(boxed),
            Self::MaskGitVqgan(config) => maskgit_vqgan::load(config, weights, device).map(boxed),
            Self::LlamaGenVq(config) => llamagen_vq::load(config, weights, device).map(|(model, _)| boxed(model)),
            Self::Vat(config) => vat::load(config, weights, device).map(boxed),
            Self::Seed(config) => seed::load(config, weights, device).map(boxed),
            Self::SeedPixels(config) => seed_pixels::load(config, weights, device).map(boxed),
            Self::MarKl(_) | Self::AutoencoderKl(_) => Err(no_tokens()),
        };
        loaded.map_err(|error| Self::naming_the_release(error, weights))
    }

    /// A mismatch of tensors, with the name of the release that they do belong to, if there is one.
    pub(crate) fn naming_the_release(error: LoadError, weights: &Weights) -> LoadError {
        match error {
            LoadError::Checkpoint(CheckpointError::Mismatch { path, differences, .. }) => {
                let looks_like = Self::release_of(&weights.entries()).map(str::to_owned);
                LoadError::Checkpoint(CheckpointError::Mismatch { path, differences, looks_like })
            }
            other => other,
        }
    }

    /// A model with starting values drawn from `seed`: for training, tests and timings.
    ///
    /// # Errors
    /// [`LoadError`] if the configuration does not fit together, or is of a model that makes no tokens.
    pub fn random(&self, seed: u64, device: &Device) -> Result<Box<dyn Tokenizer>, LoadError> {
        match self {
            Self::OneDPiece(config) => one_d_piece::random(config, seed, device).map(boxed),
            Self::FlexTok(config) => flextok::random(config, seed, device).map(boxed),
            Self::MaskGitVqgan(config) => maskgit_vqgan::random(config, seed, device).map(boxed),
            Self::LlamaGenVq(config) => llamagen_vq::random(config, seed, device).map(|(model, _)| boxed(model)),
            Self::Vat(config) => vat::random(config, seed, device).map(boxed),
            Self::Seed(config) => seed::random(config, seed, device).map(boxed),
            Self::SeedPixels(config) => seed_pixels::random(config, seed, device).map(boxed),
            Self::MarKl(_) | Self::AutoencoderKl(_) => Err(no_tokens()),
        }
    }

    /// Writes the starting values of [`ModelConfig::random`] to a safetensors file, one tensor at a time.
    ///
    /// # Errors
    /// [`LoadError`] if the configuration does not fit together or the file cannot be written.
    pub fn write_random(&self, seed: u64, path: &Path) -> Result<(), LoadError> {
        let specs = self.listing()?;
        let init: HashMap<&str, &ParamSpec> = specs.iter().map(|spec| (spec.name.as_str(), spec)).collect();
        let values = |entry: &TensorEntry| {
            let drawn = init
                .get(entry.name.as_str())
                .map(|spec| spec.init.values(entry.shape.iter().product(), seed, &entry.name));
            Ok(drawn.unwrap_or_default())
        };
        Ok(write_streaming(path, &entries(&specs), Precision::F32, self.metadata(), values)?)
    }
}

fn no_tokens() -> LoadError {
    LoadError::Config(ConfigError::Unsupported(
        "a KL autoencoder makes continuous latents and no tokens: open it with LatentCodec::from_pretrained or autoencoder_kl::from_pretrained, \
         or a tokenizer that is built on it"
            .to_owned(),
    ))
}

fn boxed<T: Tokenizer + 'static>(tokenizer: T) -> Box<dyn Tokenizer> {
    Box::new(tokenizer)
}

/// The released model that differs in the fewest tensors.
pub(crate) fn closest_release(found: &[TensorEntry]) -> Option<&'static str> {
    ModelConfig::releases().min_by_key(|name| {
        let differences = ModelConfig::preset(name).map(|config| config.differences(found));
        match differences {
            Some(Ok(Some(differences))) => differences.missing + differences.surplus + differences.misshapen,
            Some(Ok(None)) => 0,
            _ => usize::MAX,
        }
    })
}
