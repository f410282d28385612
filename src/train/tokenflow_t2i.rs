//! Training TokenFlow's generator on the tokens of a TokenFlow and the captions of its pictures.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tessera_generators::tokenflow_t2i::{
    IDS, MOST_WORDS, T2iPrompt, TokenFlowT2i, TokenFlowT2iConfig, TokenFlowT2iNetwork, losses,
};
use tessera_generators::{Content, Generator, GeneratorInfo, Words};
use tessera_layers::ParamSpec;
use tessera_layers::checkpoint::{Weights, locate, read_config};
use tessera_tokenizers::tokenflow::{self, Scales, SharedCodes, TokenFlowConfig};
use tessera_tokenizers::{ConfigError, LoadError};

use super::architecture::start_network;
use super::codes::CodeBatch;
use super::generator::{GeneratorLosses, GeneratorObjective};
use super::next_scale::SCALES;
use super::training_codes::TrainingCodes;
use super::{TrainConfig, TrainError};

/// Mean cross-entropy of all tokens among all ids, teacher-forced, with the z-loss where wanted. The pairs of codes are the
/// tokenizer's.
pub struct TokenFlowT2iObjective {
    config: TokenFlowT2iConfig,
    specs: Vec<ParamSpec>,
    /// On the device without autodiff.
    codes: SharedCodes,
    scales: Scales,
    z_loss_weight: f64,
}

impl TokenFlowT2iObjective {
    /// The objective and the network at its start, on an autodiff device. `document` is a configuration that may leave out the section
    /// `tokenizer`. A model without words of its own gets those of the captions that it learns from, and ids for them.
    ///
    /// # Errors
    /// [`TrainError`] if the architecture does not fit the tokenizer, there are no captions, or weights cannot be loaded.
    pub fn new(
        config: &TrainConfig,
        mut document: Value,
        codes: &TrainingCodes,
        device: &Device,
    ) -> Result<(Self, TokenFlowT2iNetwork), TrainError> {
        super::objectives::only_single(config, "a generator")?;
        super::token_noise::refuse_noise(config)?;
        let path = &config.model.architecture;
        let (tokenizer, pairs, tower) = open_tokenizer(config, device)?;
        if !document["tokenizer"].is_object() {
            document["tokenizer"] = serde_json::to_value(&tokenizer).unwrap_or_default();
        }
        if document["words"].is_null() {
            let given = document["most_words"].as_u64().and_then(|most| usize::try_from(most).ok());
            let most = given.unwrap_or(MOST_WORDS);
            with_words(&mut document, &codes.words(most)?, tokenizer.codebook_size);
        }
        let read = TokenFlowT2iConfig::from_value(&document);
        let mut architecture = read.map_err(|error| LoadError::from(error).in_file(path))?;
        if architecture.tokenizer != tokenizer {
            let found =
                format!("scales {:?} of {} codes", architecture.tokenizer.scales, architecture.tokenizer.codebook_size);
            let expected = format!("that of generator.tokenizer, scales {:?}, or none", tokenizer.scales);
            let error = ConfigError::invalid("tokenizer", expected, found);
            return Err(LoadError::from(error).in_file(path).into());
        }
        architecture.mm_vision_tower = Some(tower);
        architecture.learnt = Some(codes.encoder.fingerprint().hex());
        let (scales, vocab) = (tokenizer.scales(), vec![u32::try_from(tokenizer.codebook_size).unwrap_or(u32::MAX)]);
        codes.encoder.check(&GeneratorInfo::new("tokenflow-t2i", scales.layout(), Content::Codes { vocab }))?;
        let (network, specs) =
            start_network(config, device, &IDS, |params| Ok(TokenFlowT2iNetwork::new(params, &architecture)?))?;
        let z_loss_weight = config.generator.z_loss_weight;
        Ok((Self { config: architecture, specs, codes: pairs, scales, z_loss_weight }, network))
    }

    /// Words of the captions, and how many of them a caption has at most.
    pub fn words(&self) -> (Option<Words>, usize) {
        (self.config.words.clone(), self.config.most_words)
    }
}

/// The tokenizer's configuration, its pairs of codes, and where it is.
fn open_tokenizer(config: &TrainConfig, device: &Device) -> Result<(TokenFlowConfig, SharedCodes, String), TrainError> {
    let unfit = |found: String| TrainError::Invalid {
        key: "generator.tokenizer",
        expected: "a TokenFlow, whose tokens its generator makes".to_owned(),
        found,
    };
    let spec = config.generator.tokenizer.as_deref().ok_or_else(|| unfit("none".to_owned()))?;
    let files = locate(spec).map_err(LoadError::from)?;
    let path = files.config.ok_or_else(|| unfit(spec.to_owned()))?;
    let document = read_config(&path).map_err(LoadError::from)?;
    let read = TokenFlowConfig::from_value(&document).map_err(|error| unfit(format!("{spec} ({error})")))?;
    let weights = Weights::open(&files.weights)?;
    let codes = tokenflow::codes(&read, &weights, &device.clone().without_autodiff())?;
    // A path means the same wherever the run's folder goes; a hub id stays as it is.
    let tower = Path::new(spec).canonicalize().map_or(spec.to_owned(), |path| path.to_string_lossy().into_owned());
    Ok((read, codes, tower))
}

/// Puts a table of words into a document, and makes room for it, for padding and for the codes among the ids.
fn with_words(document: &mut Value, words: &Words, codes: usize) {
    let least = 1 + words.len() + 1 + codes;
    let ids = &mut document["llm"]["vocab_size"];
    let given = ids.as_u64().and_then(|ids| usize::try_from(ids).ok()).unwrap_or(0);
    *ids = given.max(least).into();
    document["words"] = serde_json::to_value(words).unwrap_or_default();
}

impl GeneratorObjective for TokenFlowT2iObjective {
    type Network = TokenFlowT2iNetwork;

    fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    fn losses(
        &self,
        network: &TokenFlowT2iNetwork,
        batch: &CodeBatch,
        _rng: &mut ChaCha8Rng,
    ) -> Result<GeneratorLosses, TrainError> {
        let ids = batch.ids("scales")?;
        let prompt = T2iPrompt::of_words(&batch.captions, false, self.config.special_ids())?;
        let codes = if ids.device().is_autodiff() { self.codes.autodiff() } else { self.codes.clone() };
        let taught = losses(network, &self.config, &codes, &self.scales, &prompt, ids);
        let of_scale =
            |range: std::ops::Range<usize>| taught.cross_entropy.clone().narrow(0, range.start, range.len()).mean();
        let by_scale: Vec<Tensor<1>> = self.scales.ranges().into_iter().map(of_scale).collect();
        let mut others = Vec::new();
        if self.z_loss_weight > 0.0 {
            others.push(("z", self.z_loss_weight, taught.z_loss));
        }
        // Reported, and no part of the sum.
        others.extend(SCALES.iter().zip(&by_scale).map(|(&name, loss)| (name, 0.0, loss.clone().detach())));
        Ok(GeneratorLosses { main: taught.cross_entropy.mean(), by_position: Tensor::cat(by_scale, 0), others })
    }

    fn config(&self) -> serde_json::Value {
        self.config.to_value()
    }

    fn generator(&self, network: TokenFlowT2iNetwork) -> Result<Box<dyn Generator>, TrainError> {
        Ok(Box::new(TokenFlowT2i::new(network, self.codes.clone(), &self.config)?))
    }

    fn main_term(&self) -> &'static str {
        "cross_entropy"
    }
}
