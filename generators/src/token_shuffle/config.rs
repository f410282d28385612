//! Configuration of a Token-Shuffle generator.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tessera_tokenizers::{ConfigError, Fingerprint, TokenLayout};

use super::windows::Windows;
use crate::{GuidanceSchedule, Sampling, Turns, Words};

/// Sizes and variants, with the keys of the recorded configuration; unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenShuffleConfig {
    /// Ids of text, the special ones included; image ids follow them.
    pub text_vocab: usize,
    /// Codes of the tokenizer.
    pub image_vocab: usize,
    /// Channels.
    pub dim: usize,
    /// Blocks.
    pub n_layers: usize,
    /// Attention heads.
    pub n_heads: usize,
    /// Heads of keys and values, each for several neighbouring heads of queries.
    pub n_kv_heads: usize,
    /// Hidden width of the SwiGLU.
    pub ffn_hidden: usize,
    /// Side of a window: `window^2` tokens of a grid are one position, of a line `window`.
    pub window: usize,
    /// Residual MLP blocks behind the merging, and before the splitting.
    pub n_mlp_blocks: usize,
    /// Hidden width of an MLP block as a multiple of the channels.
    pub mlp_ratio: usize,
    /// Rows and columns of the tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<[usize; 2]>,
    /// Key of ours, in place of `grid`: so many tokens in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<usize>,
    /// Key of ours, in place of `grid`: tokens of each scale, coarse to fine; a window is a run of `window` tokens of one scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scales: Option<Vec<usize>>,
    /// Base of the rotary positions.
    #[serde(default = "base")]
    pub rope_theta: f64,
    /// Epsilon of every normalisation.
    #[serde(default = "epsilon")]
    pub norm_eps: f64,
    /// Id that starts a sequence.
    pub bos_id: u32,
    /// Id behind which the picture starts.
    pub boi_id: u32,
    /// Id behind the picture.
    pub eoi_id: u32,
    /// Id of the first word.
    pub first_text_id: u32,
    /// Weight of the text's loss.
    pub text_loss_weight: f64,
    /// Weight of the z-loss.
    pub z_loss_weight: f64,
    /// Scale of guidance where nothing else is asked for.
    #[serde(default = "one")]
    pub cfg_scale: f32,
    /// Key of ours: how that scale moves.
    #[serde(default = "half_linear")]
    pub guidance_schedule: GuidanceSchedule,
    /// Key of ours: words that captions are made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Words>,
    /// Key of ours: captions of words are filled up in front with `bos_id` to so many positions, so that all sequences are as long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption_len: Option<usize>,
    /// Key of ours: vocabularies that take turns along the positions and make up `image_vocab`; one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<Turns>,
    /// Key of ours: how ids are drawn where nothing else is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// Key of ours: the tokenizer whose tokens were learnt, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
}

fn base() -> f64 {
    10_000.0
}

fn epsilon() -> f64 {
    1e-5
}

fn one() -> f32 {
    1.0
}

fn half_linear() -> GuidanceSchedule {
    GuidanceSchedule::HalfLinear
}

impl TokenShuffleConfig {
    /// Whether a document is of this architecture.
    pub fn describes(document: &Value) -> bool {
        ["text_vocab", "image_vocab", "window", "n_mlp_blocks"].iter().all(|key| document.get(key).is_some())
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is missing or does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_value(document.clone())
            .map_err(|error| ConfigError::invalid("(whole file)", "sizes of a Token-Shuffle", error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// Checks that sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (key, value, most) in [
            ("text_vocab", self.text_vocab, 1 << 24),
            ("image_vocab", self.image_vocab, 1 << 24),
            ("dim", self.dim, 1 << 14),
            ("n_layers", self.n_layers, 1 << 10),
            ("n_heads", self.n_heads, 1 << 10),
            ("n_kv_heads", self.n_kv_heads, 1 << 10),
            ("ffn_hidden", self.ffn_hidden, 1 << 18),
            ("window", self.window, 1 << 8),
            ("mlp_ratio", self.mlp_ratio, 1 << 8),
            ("caption_len", self.caption_len.unwrap_or(1), 1 << 12),
        ] {
            if !(1..=most).contains(&value) {
                return Err(ConfigError::invalid(key, format!("a number from 1 to {most}"), value.to_string()));
            }
        }
        if self.n_mlp_blocks > 1 << 8 {
            return Err(ConfigError::invalid("n_mlp_blocks", "a number from 0 to 256", self.n_mlp_blocks.to_string()));
        }
        if !self.dim.is_multiple_of(self.n_heads) || !(self.dim / self.n_heads).is_multiple_of(2) {
            let expected = format!("a divisor of dim {} that leaves heads of an even width", self.dim);
            return Err(ConfigError::invalid("n_heads", expected, self.n_heads.to_string()));
        }
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            let expected = format!("a divisor of n_heads {}", self.n_heads);
            return Err(ConfigError::invalid("n_kv_heads", expected, self.n_kv_heads.to_string()));
        }
        let windows = self.windows()?;
        if !self.dim.is_multiple_of(windows.size()) {
            let expected =
                format!("a side whose windows of {} tokens share {} channels evenly", windows.size(), self.dim);
            return Err(ConfigError::invalid("window", expected, self.window.to_string()));
        }
        for (key, id) in [("bos_id", self.bos_id), ("boi_id", self.boi_id), ("eoi_id", self.eoi_id)] {
            if usize::try_from(id).map_or(true, |id| id >= self.text_vocab) {
                return Err(ConfigError::invalid(
                    key,
                    format!("an id below text_vocab {}", self.text_vocab),
                    id.to_string(),
                ));
            }
        }
        if let Some(words) = &self.words {
            let end = usize::try_from(self.first_text_id).unwrap_or(usize::MAX).saturating_add(words.len());
            if end > self.text_vocab {
                let found = format!("{} words from id {}", words.len(), self.first_text_id);
                return Err(ConfigError::invalid("words", format!("ids below text_vocab {}", self.text_vocab), found));
            }
        }
        for (key, value, most) in [
            ("norm_eps", self.norm_eps, 1.0),
            ("rope_theta", self.rope_theta, 1e12),
            ("text_loss_weight", self.text_loss_weight + f64::MIN_POSITIVE, 1e6),
            ("z_loss_weight", self.z_loss_weight + f64::MIN_POSITIVE, 1e6),
        ] {
            if !(value > 0.0 && value <= most) {
                return Err(ConfigError::invalid(key, format!("a number from 0 to {most}"), value.to_string()));
            }
        }
        if let Some(tokenizer) = &self.tokenizer
            && Fingerprint::from_hex(tokenizer).is_none()
        {
            return Err(ConfigError::invalid("tokenizer", "64 hexadecimal digits", tokenizer.clone()));
        }
        if let Some(turns) = &self.turns {
            turns.check(self.image_vocab, windows.positions().len())?;
        }
        let sampling = self.sampling.unwrap_or_default().check();
        sampling.map_err(|error| ConfigError::invalid("sampling", "numbers to draw by", error.to_string()))
    }

    /// The windows of the tokens.
    ///
    /// # Errors
    /// [`ConfigError`] if there are no tokens or windows do not tile them.
    pub fn windows(&self) -> Result<Windows, ConfigError> {
        match (self.grid, self.ordered, &self.scales) {
            (Some([height, width]), None, None) => Windows::of_grid([height, width], self.window),
            (None, Some(len), None) => Windows::of_line(len, self.window),
            (None, None, Some(counts)) => Windows::of_scales(counts, self.window),
            (grid, ordered, scales) => Err(ConfigError::invalid(
                "grid",
                "one of \"grid\", \"ordered\" and \"scales\"",
                format!("{grid:?}, {ordered:?} and {scales:?}"),
            )),
        }
    }

    /// Text ids of a caption of these words, filled up in front where there is a `caption_len`.
    pub fn caption(&self, words: &[u32]) -> Vec<u32> {
        let filled = self.caption_len.unwrap_or(0).saturating_sub(words.len());
        let ids = words.iter().map(|word| self.first_text_id.saturating_add(*word));
        std::iter::repeat_n(self.bos_id, filled).chain(ids).collect()
    }

    /// The arrangement of the tokens.
    pub fn token_layout(&self) -> TokenLayout {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        if let Some(counts) = &self.scales {
            return TokenLayout::Scales { counts: counts.iter().copied().map(number).collect() };
        }
        match (self.grid, self.ordered) {
            (Some([height, width]), _) => TokenLayout::Grid { height: number(height), width: number(width) },
            (None, len) => TokenLayout::Ordered { len: number(len.unwrap_or(0)) },
        }
    }
}
