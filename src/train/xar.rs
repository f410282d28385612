//! Training xAR on an autoencoder's latents, or on the code vectors of a tokenizer.

use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use tessera_generators::xar::{Xar, XarConfig, XarNetwork, XarPrompt, buffers, draw, loss};
use tessera_generators::{Content, Generator, GeneratorInfo, Words};
use tessera_layers::{ParamSpec, Params, Trace};
use tessera_tokenizers::LoadError;

use super::architecture::start_network;
use super::codes::{CodeBatch, Codes};
use super::generator::{GeneratorLosses, GeneratorObjective};
use super::training_codes::TrainingCodes;
use super::{TrainConfig, TrainError};

/// Mean squared error of velocities, every entity at a time of its own (noisy context learning).
pub struct XarObjective {
    config: XarConfig,
    specs: Vec<ParamSpec>,
}

impl XarObjective {
    /// The objective and the network at its start, on an autodiff device. A model without words of its own learns classes where
    /// items have them, and gets the words of the captions where none has.
    ///
    /// # Errors
    /// [`TrainError`] if the architecture does not fit the latents, items have neither classes nor captions, or weights cannot be
    /// loaded.
    pub fn new(
        config: &TrainConfig,
        mut architecture: XarConfig,
        codes: &TrainingCodes,
        device: &Device,
    ) -> Result<(Self, XarNetwork), TrainError> {
        super::objectives::only_single(config, "a generator")?;
        super::token_noise::refuse_noise(config)?;
        if architecture.words.is_none() && codes.cache.labels().iter().all(Option::is_none) {
            architecture.words = Some(codes.words(architecture.most_words)?);
        }
        architecture.tokenizer = Some(codes.encoder.fingerprint().hex());
        architecture.check().map_err(LoadError::from)?;
        let content = Content::Latents { channels: architecture.vae_embed_dim };
        codes.encoder.check(&GeneratorInfo::new("xar", architecture.layout(), content))?;
        let buffers = buffers(&architecture);
        let buffers: Vec<&str> = buffers.iter().map(String::as_str).collect();
        let make = |params: &Params<'_>| XarNetwork::new(params, &architecture);
        let (network, specs) = start_network(config, device, &buffers, make)?;
        Ok((Self { config: architecture, specs }, network))
    }

    /// Words of the captions, and how many of them a caption has at most.
    pub fn words(&self) -> (Option<Words>, usize) {
        (self.config.words.clone(), self.config.most_words)
    }

    fn prompts(&self, batch: &CodeBatch) -> Vec<XarPrompt> {
        match self.config.words {
            Some(_) => batch.captions.iter().cloned().map(XarPrompt::Words).collect(),
            None => {
                let known = |label: &Option<u32>| {
                    label.filter(|&label| usize::try_from(label).is_ok_and(|label| label < self.config.class_num))
                };
                batch.labels.iter().map(|label| XarPrompt::Class(known(label))).collect()
            }
        }
    }
}

impl GeneratorObjective for XarObjective {
    type Network = XarNetwork;

    fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    fn losses(
        &self,
        network: &XarNetwork,
        batch: &CodeBatch,
        rng: &mut ChaCha8Rng,
    ) -> Result<GeneratorLosses, TrainError> {
        let Codes::Latents(latents) = &batch.codes else {
            return Err(crate::Error::Unfit("xAR learns from latents, not from ids".to_owned()).into());
        };
        let draws = draw(network, batch.len(), self.config.vae_embed_dim, rng);
        let loss = loss(network, latents.clone(), &self.prompts(batch), &draws, &mut Trace::none());
        Ok(GeneratorLosses { main: loss.loss, by_position: loss.by_entity, others: Vec::new() })
    }

    fn config(&self) -> serde_json::Value {
        serde_json::to_value(&self.config).unwrap_or_default()
    }

    fn generator(&self, network: XarNetwork) -> Result<Box<dyn Generator>, TrainError> {
        Ok(Box::new(Xar::new(network, &self.config)?))
    }

    fn main_term(&self) -> &'static str {
        "flow"
    }
}
