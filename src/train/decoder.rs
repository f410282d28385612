//! Training next-token generators and NAR on a tokenizer's tokens.

use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use tessera_generators::decoder::{Decoder, DecoderConfig, DecoderGenerator, IGNORED, ModelType, Prompt, taught};
use tessera_generators::{Content, Generator, GeneratorInfo, Turns, Words};
use tessera_layers::ParamSpec;
use tessera_tokenizers::LoadError;

use super::architecture::start_network;
use super::codes::CodeBatch;
use super::generator::{GeneratorLosses, GeneratorObjective};
use super::token_noise::with_noise;
use super::training_codes::TrainingCodes;
use super::{TrainConfig, TrainError};

/// Mean cross-entropy of the next tokens, with label smoothing and z-loss where wanted.
pub struct DecoderObjective {
    config: DecoderConfig,
    specs: Vec<ParamSpec>,
    token_noise: f64,
    label_smoothing: f64,
    z_loss_weight: f64,
}

impl DecoderObjective {
    /// The objective and the network at its start, on an autodiff device. A model of text without words of its own gets those of
    /// the captions that it learns from.
    ///
    /// # Errors
    /// [`TrainError`] if the architecture does not fit the tokens, there are no captions for it, or weights cannot be loaded.
    pub fn new(
        config: &TrainConfig,
        mut architecture: DecoderConfig,
        codes: &TrainingCodes,
        device: &Device,
    ) -> Result<(Self, Decoder), TrainError> {
        super::objectives::only_single(config, "a generator")?;
        if architecture.model_type == ModelType::Text && architecture.words.is_none() {
            architecture.words = Some(codes.words(architecture.cls_token_num)?);
        }
        architecture.tokenizer = Some(codes.encoder.fingerprint().hex());
        architecture.check().map_err(LoadError::from)?;
        let vocab = vec![u32::try_from(architecture.vocab_size).unwrap_or(u32::MAX)];
        let layout = architecture.token_layout().map_err(LoadError::from)?;
        codes.encoder.check(&GeneratorInfo::new("next-token", layout, Content::Codes { vocab }))?;
        // Of the vocabulary and the positions that were just compared.
        architecture.turns = codes.encoder.turns();
        let (network, specs) =
            start_network(config, device, &[IGNORED], |params| Ok(Decoder::new(params, &architecture)?))?;
        let section = &config.generator;
        let (label_smoothing, z_loss_weight) = (section.label_smoothing, section.z_loss_weight);
        let token_noise = section.token_noise;
        Ok((Self { config: architecture, specs, token_noise, label_smoothing, z_loss_weight }, network))
    }

    /// Words of the captions, and how many of them a caption has at most.
    pub fn words(&self) -> (Option<Words>, usize) {
        (self.config.words.clone(), self.config.cls_token_num)
    }

    fn prompt(&self, batch: &CodeBatch) -> Prompt {
        match self.config.model_type {
            ModelType::Text => Prompt::Words(batch.captions.clone()),
            ModelType::Classes => {
                let known = |label: &Option<u32>| {
                    label.filter(|&label| usize::try_from(label).is_ok_and(|label| label < self.config.num_classes))
                };
                Prompt::Classes(batch.labels.iter().map(known).collect())
            }
        }
    }
}

impl GeneratorObjective for DecoderObjective {
    type Network = Decoder;

    fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    fn losses(
        &self,
        network: &Decoder,
        batch: &CodeBatch,
        rng: &mut ChaCha8Rng,
    ) -> Result<GeneratorLosses, TrainError> {
        let ids = batch.ids("next tokens")?;
        let read = match ids.device().is_autodiff() && self.token_noise > 0.0 {
            true => {
                let turns = self.config.turns.clone().unwrap_or_else(|| Turns::new([self.config.vocab_size]));
                with_noise(ids.clone(), self.token_noise, &turns, rng)
            }
            false => ids.clone(),
        };
        let taught = taught(network, read, ids, &self.prompt(batch), self.label_smoothing);
        let others = match self.z_loss_weight > 0.0 {
            true => vec![("z", self.z_loss_weight, taught.z_loss)],
            false => Vec::new(),
        };
        Ok(GeneratorLosses { main: taught.cross_entropy.clone().mean(), by_position: taught.cross_entropy, others })
    }

    fn config(&self) -> serde_json::Value {
        serde_json::to_value(&self.config).unwrap_or_default()
    }

    fn generator(&self, network: Decoder) -> Result<Box<dyn Generator>, TrainError> {
        Ok(Box::new(DecoderGenerator::new(network, &self.config)?))
    }

    fn main_term(&self) -> &'static str {
        "cross_entropy"
    }
}
