//! Training a Token-Shuffle generator on a tokenizer's tokens.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use tessera_generators::token_shuffle::{
    TokenShuffle, TokenShuffleConfig, TokenShuffleNetwork, Windows, losses, teach,
};
use tessera_generators::{Content, Generator, GeneratorInfo, Words};
use tessera_layers::{ParamSpec, Trace};
use tessera_tokenizers::LoadError;

use super::architecture::start_network;
use super::codes::CodeBatch;
use super::generator::{GeneratorLosses, GeneratorObjective};
use super::training_codes::TrainingCodes;
use super::{TrainConfig, TrainError};

/// Cross-entropy of image tokens, and of text and the z-loss by the weights of the architecture.
pub struct TokenShuffleObjective {
    config: TokenShuffleConfig,
    windows: Windows,
    specs: Vec<ParamSpec>,
    label_smoothing: f64,
}

impl TokenShuffleObjective {
    /// The objective and the network at its start, on an autodiff device. A model without words of its own gets those of the
    /// captions that it learns from; its `text_vocab` then grows to hold them.
    ///
    /// # Errors
    /// [`TrainError`] if the architecture does not fit the tokens, there are no captions for it, or weights cannot be loaded.
    pub fn new(
        config: &TrainConfig,
        mut architecture: TokenShuffleConfig,
        codes: &TrainingCodes,
        device: &Device,
    ) -> Result<(Self, TokenShuffleNetwork), TrainError> {
        super::objectives::only_single(config, "a generator")?;
        super::token_noise::refuse_noise(config)?;
        if architecture.words.is_none() {
            let words = codes.words(architecture.caption_len.unwrap_or(usize::MAX))?;
            let first = usize::try_from(architecture.first_text_id).unwrap_or(usize::MAX);
            architecture.text_vocab = architecture.text_vocab.max(first.saturating_add(words.len()));
            architecture.words = Some(words);
        }
        if architecture.caption_len.is_none() {
            return Err(TrainError::Invalid {
                key: "model.architecture",
                expected: "a caption_len, so that the sequences of a batch are as long".to_owned(),
                found: "none".to_owned(),
            });
        }
        architecture.tokenizer = Some(codes.encoder.fingerprint().hex());
        architecture.check().map_err(LoadError::from)?;
        let vocab = vec![u32::try_from(architecture.image_vocab).unwrap_or(u32::MAX)];
        let info = GeneratorInfo::new("token-shuffle", architecture.token_layout(), Content::Codes { vocab });
        codes.encoder.check(&info)?;
        // Of the vocabulary and the positions that were just compared.
        architecture.turns = codes.encoder.turns();
        let (network, specs) =
            start_network(config, device, &[], |params| Ok(TokenShuffleNetwork::new(params, &architecture)?))?;
        let windows = architecture.windows().map_err(LoadError::from)?;
        let label_smoothing = config.generator.label_smoothing;
        Ok((Self { config: architecture, windows, specs, label_smoothing }, network))
    }

    /// Words of the captions, and how many of them a caption has at most.
    pub fn words(&self) -> (Option<Words>, usize) {
        (self.config.words.clone(), self.config.caption_len.unwrap_or(0))
    }
}

impl GeneratorObjective for TokenShuffleObjective {
    type Network = TokenShuffleNetwork;

    fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    fn losses(
        &self,
        network: &TokenShuffleNetwork,
        batch: &CodeBatch,
        _rng: &mut ChaCha8Rng,
    ) -> Result<GeneratorLosses, TrainError> {
        let ids = batch.ids("windows")?;
        let captions = batch.captions.iter().flat_map(|words| self.config.caption(words));
        let captions: Vec<i32> = captions.map(|id| i32::try_from(id).unwrap_or(0)).collect();
        let shape = [batch.len(), self.config.caption_len.unwrap_or(0)];
        let text = Tensor::<2, Int>::from_data(TensorData::new(captions, shape), &ids.device());
        let taught = teach(network, &self.config, &self.windows, text.clone(), ids, &mut Trace::none());
        let losses = losses(&taught, &self.config, &self.windows, text, self.label_smoothing);
        Ok(GeneratorLosses {
            main: losses.by_window.clone().mean(),
            by_position: losses.by_window,
            others: vec![
                ("text", self.config.text_loss_weight, losses.text),
                ("z", self.config.z_loss_weight, losses.z_loss),
            ],
        })
    }

    fn config(&self) -> serde_json::Value {
        serde_json::to_value(&self.config).unwrap_or_default()
    }

    fn generator(&self, network: TokenShuffleNetwork) -> Result<Box<dyn Generator>, TrainError> {
        Ok(Box::new(TokenShuffle::new(network, &self.config)?))
    }

    fn main_term(&self) -> &'static str {
        "cross_entropy"
    }
}
