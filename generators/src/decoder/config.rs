//! Configuration of a decoder-only transformer over tokens: LlamaGen's keys, NAR's, and ours.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tessera_tokenizers::{ConfigError, Fingerprint, TokenLayout};

use crate::{GuidanceSchedule, Sampling, Turns, Words};

/// What a model is conditioned on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModelType {
    /// A class.
    #[serde(rename = "c2i")]
    Classes,
    /// Text: features of a text encoder, or words of the model's own table.
    #[serde(rename = "t2i")]
    Text,
}

/// Arrangement of the tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrangement {
    /// So many positions in a line.
    Ordered(usize),
    /// Rows and columns.
    Grid([usize; 2]),
    /// Tokens of each scale, coarse to fine: a line scale after scale, of NAR decoded by diagonals of scale and position.
    Scales(Vec<usize>),
}

/// Sizes and variants, with the keys of the recorded configurations; unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecoderConfig {
    /// Channels.
    pub dim: usize,
    /// Blocks: of NAR, those before the extra ones.
    pub n_layer: usize,
    /// Attention heads.
    pub n_head: usize,
    /// Heads of keys and values, each for several neighbouring heads of queries; as many as heads where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_kv_head: Option<usize>,
    /// The hidden width of the SwiGLU is a multiple of this.
    #[serde(default = "multiple")]
    pub multiple_of: usize,
    /// Factor of the hidden width.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ffn_dim_multiplier: Option<f64>,
    /// Base of the rotary positions.
    #[serde(default = "base")]
    pub rope_base: f64,
    /// Epsilon of every normalisation.
    #[serde(default = "epsilon")]
    pub norm_eps: f64,
    /// Standard deviation of starting weights.
    #[serde(default = "deviation")]
    pub initializer_range: f32,
    /// What it is conditioned on.
    pub model_type: ModelType,
    /// Classes.
    #[serde(default = "classes")]
    pub num_classes: usize,
    /// Channels of text features, or of the word table.
    #[serde(default = "caption")]
    pub caption_dim: usize,
    /// Positions of the condition.
    #[serde(default = "one")]
    pub cls_token_num: usize,
    /// Codes.
    pub vocab_size: usize,
    /// Tokens of a sample.
    pub block_size: usize,
    /// NAR's extra blocks; absent means plain next-token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medusa_attention_num: Option<usize>,
    /// Key of ours: words that captions are made of, in place of a text encoder's features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Words>,
    /// Key of ours: arrangement of the tokens; a square grid of `block_size` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Arrangement>,
    /// Key of ours: vocabularies that take turns along the positions and make up `vocab_size`; one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<Turns>,
    /// Key of ours: how ids are drawn where nothing else is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// Key of ours: the guidance scale where nothing else is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance_scale: Option<f32>,
    /// Key of ours: how that scale moves.
    #[serde(default)]
    pub guidance_schedule: GuidanceSchedule,
    /// Key of ours: the tokenizer whose tokens were learnt, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
}

fn multiple() -> usize {
    256
}

fn base() -> f64 {
    10_000.0
}

fn epsilon() -> f64 {
    1e-5
}

fn deviation() -> f32 {
    0.02
}

fn classes() -> usize {
    1000
}

fn caption() -> usize {
    2048
}

fn one() -> usize {
    1
}

impl DecoderConfig {
    /// Whether a document is of this architecture.
    pub fn describes(document: &Value) -> bool {
        ["n_layer", "n_head", "vocab_size", "block_size", "model_type"].iter().all(|key| document.get(key).is_some())
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is missing or does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_value(document.clone())
            .map_err(|error| ConfigError::invalid("(whole file)", "sizes of a decoder", error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// Checks that sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (key, value, most) in [
            ("dim", self.dim, 1 << 14),
            ("n_layer", self.n_layer, 1 << 10),
            ("n_head", self.n_head, 1 << 10),
            ("n_kv_head", self.kv_heads(), 1 << 10),
            ("multiple_of", self.multiple_of, 1 << 16),
            ("num_classes", self.num_classes, 1 << 24),
            ("caption_dim", self.caption_dim, 1 << 16),
            ("cls_token_num", self.cls_token_num, 1 << 12),
            ("vocab_size", self.vocab_size, 1 << 24),
            ("block_size", self.block_size, 1 << 16),
            ("medusa_attention_num", self.medusa_attention_num.unwrap_or(1), 1 << 10),
        ] {
            if !(1..=most).contains(&value) {
                return Err(ConfigError::invalid(key, format!("a number from 1 to {most}"), value.to_string()));
            }
        }
        if !self.dim.is_multiple_of(self.n_head) || !self.head_dim().is_multiple_of(2) {
            let expected = format!("a divisor of dim {} that leaves heads of an even width", self.dim);
            return Err(ConfigError::invalid("n_head", expected, self.n_head.to_string()));
        }
        if !self.n_head.is_multiple_of(self.kv_heads()) {
            let expected = format!("a divisor of n_head {}", self.n_head);
            return Err(ConfigError::invalid("n_kv_head", expected, self.kv_heads().to_string()));
        }
        for (key, value, most) in [
            ("norm_eps", self.norm_eps, 1.0),
            ("rope_base", self.rope_base, 1e12),
            ("initializer_range", f64::from(self.initializer_range), 10.0),
            ("ffn_dim_multiplier", self.ffn_dim_multiplier.unwrap_or(1.0), 64.0),
        ] {
            if !(value > 0.0 && value <= most) {
                return Err(ConfigError::invalid(key, format!("a number above 0 and up to {most}"), value.to_string()));
            }
        }
        let arrangement = self.arrangement()?;
        let positions = match arrangement {
            Arrangement::Ordered(len) => Some(len),
            Arrangement::Grid([height, width]) => height.checked_mul(width),
            Arrangement::Scales(ref counts) => counts.iter().try_fold(0_usize, |all, &count| all.checked_add(count)),
        };
        if let Arrangement::Scales(counts) = &arrangement {
            let most = tessera_shaders::MAX_SCALES;
            let is_nar = self.medusa_attention_num.is_some();
            let fits = (1..=most).contains(&counts.len()) && !counts.contains(&0);
            if !fits || is_nar && !counts.is_sorted() {
                let order = if is_nar {
                    ", none shorter than the one before, as NAR decodes by scale and position"
                } else {
                    ""
                };
                let expected = format!("1 to {most} scales of at least one token{order}");
                return Err(ConfigError::invalid("layout.scales", expected, format!("{counts:?}")));
            }
        }
        if positions != Some(self.block_size) {
            let expected = format!("an arrangement of block_size {} positions", self.block_size);
            return Err(ConfigError::invalid("layout", expected, format!("{arrangement:?}")));
        }
        let is_flat = match arrangement {
            Arrangement::Ordered(_) => true,
            Arrangement::Scales(_) => self.medusa_attention_num.is_none(),
            Arrangement::Grid(_) => false,
        };
        if !is_flat && !self.head_dim().is_multiple_of(4) {
            let expected = format!("heads of a multiple of 4 channels for two dimensions (dim {})", self.dim);
            return Err(ConfigError::invalid("n_head", expected, self.n_head.to_string()));
        }
        if self.words.is_some() && self.model_type != ModelType::Text {
            return Err(ConfigError::invalid("model_type", "\"t2i\" beside words", "\"c2i\""));
        }
        if self.model_type == ModelType::Classes && self.cls_token_num != 1 {
            return Err(ConfigError::invalid("cls_token_num", "1 for a class", self.cls_token_num.to_string()));
        }
        if let Some(tokenizer) = &self.tokenizer
            && Fingerprint::from_hex(tokenizer).is_none()
        {
            return Err(ConfigError::invalid("tokenizer", "64 hexadecimal digits", tokenizer.clone()));
        }
        if let Some(turns) = &self.turns {
            turns.check(self.vocab_size, self.block_size)?;
        }
        let sampling = self.sampling.unwrap_or_default().check();
        sampling.map_err(|error| ConfigError::invalid("sampling", "numbers to draw by", error.to_string()))
    }

    /// The arrangement of the tokens.
    ///
    /// # Errors
    /// [`ConfigError`] if there is none and `block_size` is no square.
    pub fn arrangement(&self) -> Result<Arrangement, ConfigError> {
        let side = self.block_size.isqrt();
        match &self.layout {
            Some(arrangement) => Ok(arrangement.clone()),
            None if side * side == self.block_size => Ok(Arrangement::Grid([side, side])),
            None => Err(ConfigError::invalid("block_size", "a square, or a layout", self.block_size.to_string())),
        }
    }

    /// The arrangement as tokens say it.
    ///
    /// # Errors
    /// As [`DecoderConfig::arrangement`].
    pub fn token_layout(&self) -> Result<TokenLayout, ConfigError> {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(match self.arrangement()? {
            Arrangement::Ordered(len) => TokenLayout::Ordered { len: number(len) },
            Arrangement::Grid([height, width]) => TokenLayout::Grid { height: number(height), width: number(width) },
            Arrangement::Scales(counts) => TokenLayout::Scales { counts: counts.into_iter().map(number).collect() },
        })
    }

    /// Channels of a head.
    pub fn head_dim(&self) -> usize {
        self.dim / self.n_head
    }

    /// Heads of keys and values.
    pub fn kv_heads(&self) -> usize {
        self.n_kv_head.unwrap_or(self.n_head)
    }

    /// Hidden width of the SwiGLU: two thirds of four times the channels, times the multiplier, rounded up.
    pub fn hidden(&self) -> usize {
        let hidden = 2 * 4 * self.dim / 3;
        let hidden = self.ffn_dim_multiplier.map_or(hidden, |factor| (factor * hidden as f64) as usize);
        hidden.next_multiple_of(self.multiple_of)
    }
}
