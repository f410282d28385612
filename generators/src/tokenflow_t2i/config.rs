//! Configuration of the generator.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tessera_tokenizers::tokenflow::TokenFlowConfig;
use tessera_tokenizers::{ConfigError, Fingerprint};

use super::Strategy;
use crate::Words;

/// The language model, its tokenizer of pictures, and how it samples.
///
/// A document has the sections `llm`, `tokenizer` and `sampling`, or is the released one, in which the keys of `llm` stand at
/// the top; there the tokenizer is the released `tokenflow-clipb-32k-enhanced` unless a section says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenFlowT2iConfig {
    /// The language model.
    pub llm: LlmConfig,
    /// The tokenizer whose codes are generated.
    pub tokenizer: TokenFlowConfig,
    /// Sampling; as released where absent.
    #[serde(default)]
    pub sampling: SamplingConfig,
    /// Where the tokenizer's weights are: a file, a folder or a hub id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mm_vision_tower: Option<String>,
    /// Key of ours: words that captions are made of, in place of a text tokenizer. Id 0 is where the picture begins, and stands behind
    /// every caption; word `n` of the table has the id `n + 1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Words>,
    /// Key of ours: most words of a caption.
    #[serde(default = "most_words")]
    pub most_words: usize,
    /// Key of ours: the tokenizer whose tokens were learnt, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learnt: Option<String>,
}

/// Most words of a caption where a configuration does not say.
pub const MOST_WORDS: usize = 16;

fn most_words() -> usize {
    MOST_WORDS
}

/// Sizes of the language model, with the keys of `transformers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlmConfig {
    /// Channels.
    pub hidden_size: usize,
    /// Hidden units of the MLPs.
    pub intermediate_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Heads of keys and values; as many as there are heads where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_key_value_heads: Option<usize>,
    /// Ids of text, padding and codes together.
    pub vocab_size: usize,
    /// Epsilon of the blocks' normalisations; those of queries and keys have 1e-6.
    #[serde(default = "epsilon")]
    pub rms_norm_eps: f64,
    /// Base of the rotary positions.
    #[serde(default = "theta")]
    pub rope_theta: f64,
    /// `mlp2x_gelu`.
    #[serde(default = "projector")]
    pub mm_projector_type: String,
    /// Id of code 0; where absent, so that the codes end the vocabulary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_token_start: Option<usize>,
    /// Id of padding; the one before the codes where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_token_id: Option<usize>,
}

/// How it samples where nothing else is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamplingConfig {
    /// Guidance at the last scale: logits are `(1 + cfg) c - cfg u`.
    #[serde(default = "cfg")]
    pub cfg: f64,
    /// Strategies by name.
    #[serde(default)]
    pub strategies: BTreeMap<String, Strategy>,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        Self { cfg: cfg(), strategies: BTreeMap::new() }
    }
}

fn cfg() -> f64 {
    7.5
}

fn epsilon() -> f64 {
    1e-5
}

fn theta() -> f64 {
    10_000.0
}

fn projector() -> String {
    "mlp2x_gelu".to_owned()
}

impl TokenFlowT2iConfig {
    /// Whether a document is of this architecture.
    pub fn describes(document: &Value) -> bool {
        let is_nested = document["llm"].is_object() && document["tokenizer"].is_object();
        is_nested || document["model_type"].as_str() == Some("llava_llama") && document["hidden_size"].is_number()
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is missing or does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let nested = document["llm"].is_object();
        let section = |key: &str, error: serde_json::Error| ConfigError::invalid(key, "its keys", error.to_string());
        let llm = if nested { &document["llm"] } else { document };
        let llm: LlmConfig = serde_json::from_value(llm.clone()).map_err(|error| section("llm", error))?;
        let tokenizer = match &document["tokenizer"] {
            Value::Object(_) => TokenFlowConfig::from_value(&document["tokenizer"])?,
            _ => TokenFlowConfig::preset(super::presets::TOKENIZER)
                .ok_or_else(|| ConfigError::invalid("tokenizer", "a section of a TokenFlow", "none"))?,
        };
        let sampling = match &document["sampling"] {
            Value::Object(_) => {
                serde_json::from_value(document["sampling"].clone()).map_err(|error| section("sampling", error))?
            }
            _ => SamplingConfig::default(),
        };
        let mm_vision_tower = document["mm_vision_tower"].as_str().map(str::to_owned);
        let words = match &document["words"] {
            Value::Null => None,
            words => Some(serde_json::from_value(words.clone()).map_err(|error| section("words", error))?),
        };
        let most_words = match &document["most_words"] {
            Value::Null => most_words(),
            number => serde_json::from_value(number.clone()).map_err(|error| section("most_words", error))?,
        };
        let learnt = document["learnt"].as_str().map(str::to_owned);
        let config = Self { llm, tokenizer, sampling, mm_vision_tower, words, most_words, learnt };
        config.check()?;
        Ok(config)
    }

    /// The configuration as [`TokenFlowT2iConfig::from_value`] reads it.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Id of code 0.
    pub fn image_token_start(&self) -> usize {
        let codes = self.tokenizer.codebook_size;
        self.llm.image_token_start.unwrap_or(self.llm.vocab_size.saturating_sub(codes))
    }

    /// Id of padding.
    pub fn pad_token(&self) -> usize {
        self.llm.pad_token_id.unwrap_or(self.image_token_start().saturating_sub(1))
    }

    /// Id of padding, and of code 0: what [`T2iPrompt`](super::T2iPrompt) needs to know.
    pub fn special_ids(&self) -> [u32; 2] {
        [self.pad_token(), self.image_token_start()].map(|id| u32::try_from(id).unwrap_or(u32::MAX))
    }

    /// The words of captions, and how many of them a caption may have.
    pub fn words(&self) -> Option<(&Words, usize)> {
        self.words.as_ref().map(|words| (words, self.most_words))
    }

    /// Heads of keys and values.
    pub fn kv_heads(&self) -> usize {
        self.llm.num_key_value_heads.unwrap_or(self.llm.num_attention_heads)
    }

    /// Channels of a head.
    pub fn head_dim(&self) -> usize {
        self.llm.hidden_size / self.llm.num_attention_heads.max(1)
    }

    /// Checks that sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.tokenizer.check()?;
        let llm = &self.llm;
        for (key, value, most) in [
            ("hidden_size", llm.hidden_size, 1 << 16),
            ("intermediate_size", llm.intermediate_size, 1 << 18),
            ("num_hidden_layers", llm.num_hidden_layers, 1 << 10),
            ("num_attention_heads", llm.num_attention_heads, 1 << 10),
            ("num_key_value_heads", self.kv_heads(), 1 << 10),
            ("vocab_size", llm.vocab_size, 1 << 24),
        ] {
            if !(1..=most).contains(&value) {
                return Err(ConfigError::invalid(key, format!("a number from 1 to {most}"), value.to_string()));
            }
        }
        let (heads, dim) = (llm.num_attention_heads, self.head_dim());
        if !llm.hidden_size.is_multiple_of(heads) || !dim.is_multiple_of(2) {
            let expected =
                format!("a divisor of hidden_size {} that leaves an even number of channels", llm.hidden_size);
            return Err(ConfigError::invalid("num_attention_heads", expected, heads.to_string()));
        }
        if !heads.is_multiple_of(self.kv_heads()) {
            let expected = format!("a divisor of num_attention_heads {heads}");
            return Err(ConfigError::invalid("num_key_value_heads", expected, self.kv_heads().to_string()));
        }
        for (key, value) in [("rms_norm_eps", llm.rms_norm_eps), ("rope_theta", llm.rope_theta)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(ConfigError::invalid(key, "a number above 0", value.to_string()));
            }
        }
        if llm.mm_projector_type != "mlp2x_gelu" {
            return Err(ConfigError::invalid("mm_projector_type", "mlp2x_gelu", llm.mm_projector_type.clone()));
        }
        let (start, codes) = (self.image_token_start(), self.tokenizer.codebook_size);
        if start == 0 || start.saturating_add(codes) > llm.vocab_size {
            let expected = format!("an id above 0 with {codes} codes behind it among {} ids", llm.vocab_size);
            return Err(ConfigError::invalid("image_token_start", expected, start.to_string()));
        }
        if self.pad_token() >= start {
            let expected = format!("an id before the codes, which begin at {start}");
            return Err(ConfigError::invalid("pad_token_id", expected, self.pad_token().to_string()));
        }
        if let Some(words) = &self.words
            && words.len() + 1 > self.pad_token()
        {
            let expected = format!("ids of {} words behind id 0 and before padding, {}", words.len(), self.pad_token());
            return Err(ConfigError::invalid("words", expected, words.len().to_string()));
        }
        if !(1..=1 << 12).contains(&self.most_words) {
            return Err(ConfigError::invalid("most_words", "a number from 1 to 4096", self.most_words.to_string()));
        }
        if let Some(learnt) = &self.learnt
            && Fingerprint::from_hex(learnt).is_none()
        {
            return Err(ConfigError::invalid("learnt", "64 hexadecimal digits", learnt.clone()));
        }
        if self.tokenizer.scales.first() != Some(&1) {
            let expected = "a first scale of one token: the prompt's last position stands for it";
            return Err(ConfigError::invalid("tokenizer.scales", expected, format!("{:?}", self.tokenizer.scales)));
        }
        if !(self.sampling.cfg >= 0.0 && self.sampling.cfg.is_finite()) {
            return Err(ConfigError::invalid("sampling.cfg", "a number from 0 on", self.sampling.cfg.to_string()));
        }
        Ok(())
    }
}
