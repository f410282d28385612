//! Every generator's configuration in one type, and opening one by folder or file.

use burn::tensor::Device;
use serde_json::Value;
use tessera_layers::ParamSpec;
use tessera_layers::checkpoint::{TensorEntry, Weights, differences, locate, read_config};
use tessera_layers::params::entries;
use tessera_tokenizers::{ConfigError, LoadError};

use crate::Generator;
use crate::decoder::{self, DecoderConfig};
use crate::flextok_ar::{self, FlexTokArConfig};
use crate::maskgit::{self, MaskGitConfig};
use crate::next_scale::{self, NextScaleConfig};
use crate::token_shuffle::{self, TokenShuffleConfig};
use crate::tokenflow_t2i::{self, TokenFlowT2iConfig};
use crate::xar::{self, XarConfig};
use crate::{nar, next_token};

/// The configuration of any generator.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum GeneratorConfig {
    /// MaskGIT: the whole released document, sizes and settings of sampling.
    MaskGit(Value),
    /// FlexTok's own.
    FlexTokAr(FlexTokArConfig),
    /// Next-token, or NAR.
    Decoder(DecoderConfig),
    /// Token-Shuffle.
    TokenShuffle(TokenShuffleConfig),
    /// xAR.
    Xar(XarConfig),
    /// Next-scale, of VAT's or TokenFlow's tokens.
    NextScale(NextScaleConfig),
    /// TokenFlow's.
    TokenFlowT2i(Box<TokenFlowT2iConfig>),
}

impl GeneratorConfig {
    /// Names that [`GeneratorConfig::preset`] knows: released models, and the sizes of VAT's generator.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        let released = next_token::PRESETS.into_iter().chain(nar::PRESETS).chain(token_shuffle::PRESETS);
        released.chain(xar::PRESETS).chain(tokenflow_t2i::PRESETS).chain(next_scale::PRESETS)
    }

    /// The configuration of a released model, or `None` for an unknown name.
    pub fn preset(name: &str) -> Option<Self> {
        let decoder = next_token::preset(name).or_else(|| nar::preset(name)).map(Self::Decoder);
        let windows = || token_shuffle::preset(name).map(Self::TokenShuffle);
        let next_scale = || next_scale::preset(name).map(Self::NextScale);
        let scales = || tokenflow_t2i::preset(name).map(|config| Self::TokenFlowT2i(Box::new(config)));
        decoder.or_else(windows).or_else(|| xar::preset(name).map(Self::Xar)).or_else(scales).or_else(next_scale)
    }

    /// The released model whose tensors these are, names and shapes, if there is one; releases for pictures of other sizes may share
    /// their tensors.
    pub fn release_of(found: &[TensorEntry]) -> Option<&'static str> {
        let found = &Self::parameters_of(found);
        Self::presets().find(|name| {
            let specs = Self::preset(name).and_then(|config| config.listing().ok());
            specs.is_some_and(|specs| differences(&entries(&specs), found).is_none())
        })
    }

    /// The tensors of a file without those that hold no parameter: tables of angles and masks, and ids.
    pub fn parameters_of(found: &[TensorEntry]) -> Vec<TensorEntry> {
        let is_buffer = |name: &str| {
            ["freqs_cis", "mask"].contains(&name) || name.contains(".rope.") || tokenflow_t2i::IDS.contains(&name)
        };
        found.iter().filter(|entry| !is_buffer(&entry.name)).cloned().collect()
    }

    /// Whether a document is a generator's.
    pub fn describes(document: &Value) -> bool {
        document["model"].get("generator").is_some()
            || document.get("ffn_hidden").is_some() && document.get("embed_dim").is_some()
            || DecoderConfig::describes(document)
            || TokenShuffleConfig::describes(document)
            || XarConfig::describes(document)
            || NextScaleConfig::describes(document)
            || TokenFlowT2iConfig::describes(document)
    }

    /// Reads a configuration document and recognises its architecture.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is missing, unknown or does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        if document["model"].get("generator").is_some() {
            MaskGitConfig::from_value(document)?;
            return Ok(Self::MaskGit(document.clone()));
        }
        if document.get("ffn_hidden").is_some() && document.get("embed_dim").is_some() {
            return FlexTokArConfig::from_value(document).map(Self::FlexTokAr);
        }
        if DecoderConfig::describes(document) {
            return DecoderConfig::from_value(document).map(Self::Decoder);
        }
        if TokenShuffleConfig::describes(document) {
            return TokenShuffleConfig::from_value(document).map(Self::TokenShuffle);
        }
        if XarConfig::describes(document) {
            return XarConfig::from_value(document).map(Self::Xar);
        }
        if NextScaleConfig::describes(document) {
            return NextScaleConfig::from_value(document).map(Self::NextScale);
        }
        if TokenFlowT2iConfig::describes(document) {
            return TokenFlowT2iConfig::from_value(document).map(|config| Self::TokenFlowT2i(Box::new(config)));
        }
        Err(ConfigError::UnknownArchitecture(
            "the config has no \"model.generator\" section (MaskGIT), no \"embed_dim\" (FlexTok's generator), no \
             \"encoder_embed_dim\" (xAR), no \"ar\" (next-scale), no \"model_type\": \"llava_llama\" (TokenFlow's generator), and not all of \"n_layer\", \"n_head\", \"vocab_size\", \"block_size\" and \"model_type\" \
             (next-token, NAR) or of \"text_vocab\", \"image_vocab\", \"window\" and \"n_mlp_blocks\" (Token-Shuffle)"
                .to_owned(),
        ))
    }

    /// The tensors that a checkpoint of this configuration holds. Allocates no weights.
    ///
    /// # Errors
    /// [`LoadError`] if the configuration does not fit together.
    pub fn listing(&self) -> Result<Vec<ParamSpec>, LoadError> {
        match self {
            Self::MaskGit(document) => Ok(maskgit::listing(&MaskGitConfig::from_value(document)?)?),
            Self::FlexTokAr(config) => Ok(flextok_ar::listing(config)?),
            Self::Decoder(config) => Ok(decoder::listing(config)?),
            Self::TokenShuffle(config) => Ok(token_shuffle::listing(config)?),
            Self::Xar(config) => xar::listing(config),
            Self::NextScale(config) => next_scale::listing(config),
            Self::TokenFlowT2i(config) => tokenflow_t2i::listing(config),
        }
    }

    /// Makes the generator of a checkpoint that holds exactly its tensors.
    ///
    /// # Errors
    /// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite.
    pub fn load(&self, weights: &Weights, device: &Device) -> Result<Box<dyn Generator>, LoadError> {
        match self {
            Self::MaskGit(document) => maskgit::load(document, weights, device).map(boxed),
            Self::FlexTokAr(config) => flextok_ar::load(config, weights, device).map(boxed),
            Self::Decoder(config) => decoder::load(config, weights, device).map(boxed),
            Self::TokenShuffle(config) => token_shuffle::load(config, weights, device).map(boxed),
            Self::Xar(config) => xar::load(config, weights, device).map(boxed),
            Self::NextScale(config) => next_scale::load(config, weights, device).map(boxed),
            Self::TokenFlowT2i(config) => tokenflow_t2i::load(config, weights, device).map(boxed),
        }
    }

    /// A generator with starting values drawn from `seed`: for training, tests and timings.
    ///
    /// # Errors
    /// [`LoadError`] if the configuration does not fit together.
    pub fn random(&self, seed: u64, device: &Device) -> Result<Box<dyn Generator>, LoadError> {
        match self {
            Self::MaskGit(document) => maskgit::random(document, seed, device).map(boxed),
            Self::FlexTokAr(config) => flextok_ar::random(config, seed, device).map(boxed),
            Self::Decoder(config) => decoder::random(config, seed, device).map(boxed),
            Self::TokenShuffle(config) => token_shuffle::random(config, seed, device).map(boxed),
            Self::Xar(config) => xar::random(config, seed, device).map(boxed),
            Self::NextScale(config) => next_scale::random(config, seed, device).map(boxed),
            Self::TokenFlowT2i(config) => tokenflow_t2i::random(config, seed, device).map(boxed),
        }
    }
}

fn boxed<G: Generator + 'static>(generator: G) -> Box<dyn Generator> {
    Box::new(generator)
}

/// Opens a generator: a folder, a weight file (its configuration is looked for beside it) or a hub id that lies in the hub's
/// cache on disk. No connection is ever opened.
///
/// # Errors
/// [`LoadError`] if the files are not found, there is no configuration or it does not fit, or a tensor is missing, surplus,
/// misshapen or not finite.
pub fn from_pretrained(spec: &str, device: &Device) -> Result<Box<dyn Generator>, LoadError> {
    let files = locate(spec)?;
    let weights = Weights::open(&files.weights)?;
    let Some(path) = &files.config else {
        return Err(ConfigError::UnknownArchitecture(format!(
            "{} has no config.json beside it: expected the generator's configuration there",
            files.weights.display()
        ))
        .into());
    };
    let load = || GeneratorConfig::from_value(&read_config(path)?)?.load(&weights, device);
    load().map_err(|error| error.in_file(path))
}
