//! Configuration of an xAR.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tessera_tokenizers::{ConfigError, Fingerprint, TokenLayout};

use super::{Entities, EntityKind, Solver};
use crate::Words;

/// One number for both directions, or `[rows, columns]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Sides {
    /// The same for both.
    Square(usize),
    /// Rows and columns.
    Both([usize; 2]),
}

impl Sides {
    /// Rows and columns.
    pub fn both(self) -> [usize; 2] {
        match self {
            Sides::Square(side) => [side, side],
            Sides::Both(sides) => sides,
        }
    }
}

/// Sizes and variants, with the keys of the recorded configuration; unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct XarConfig {
    /// `xar`.
    #[serde(default = "name")]
    pub model_type: String,
    /// Side of the pictures in pixels.
    #[serde(default = "number::<256>")]
    pub img_size: usize,
    /// Pixels of a latent.
    #[serde(default = "number::<16>")]
    pub vae_stride: usize,
    /// Channels of a latent.
    #[serde(default = "number::<16>")]
    pub vae_embed_dim: usize,
    /// Channels of the network.
    pub encoder_embed_dim: usize,
    /// Blocks of the first stack.
    pub encoder_depth: usize,
    /// Attention heads of the first stack.
    pub encoder_num_heads: usize,
    /// Channels of the second stack: those of the first.
    pub decoder_embed_dim: usize,
    /// Blocks of the second stack.
    pub decoder_depth: usize,
    /// Attention heads of the second stack.
    pub decoder_num_heads: usize,
    /// Two thirds of this times the channels are the hidden width of the MLP.
    #[serde(default = "four")]
    pub mlp_ratio: f64,
    /// Classes.
    #[serde(default = "number::<1000>")]
    pub class_num: usize,
    /// Share of samples that are learnt without a class.
    #[serde(default = "tenth")]
    pub label_drop_prob: f32,
    /// Cells, where their sides are not given: as many in each direction.
    #[serde(default = "number::<4>")]
    pub clusters: usize,
    /// Solver steps of an entity where nothing else is asked for.
    #[serde(default = "number::<50>")]
    pub num_steps: usize,
    /// Guidance of the last entity where nothing else is asked for.
    #[serde(default = "one")]
    pub cfg: f32,
    /// Rows and columns of the latents; `img_size / vae_stride` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<Sides>,
    /// Key of ours, in place of `grid`: latents of a line, ordered by importance. Its entities are as those of a grid of one row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<usize>,
    /// Key of ours, in place of `grid`: positions of each scale where the tokenizer's stand in scales. Entities are `scale` (these), `patch`
    /// or `image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_scales: Option<Vec<usize>>,
    /// `patch`, `cell`, `subsample`, `scale` or `image`.
    #[serde(default = "cell")]
    pub entity: String,
    /// Latents of a cell in each direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<Sides>,
    /// Latents of a subsample in each direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subsample_distance: Option<Sides>,
    /// Sides of the scales; halves of the grid down to 1 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scales: Option<Vec<Sides>>,
    /// Key of ours: `sde` (Euler-Maruyama, the release's) or `ode` (Euler).
    #[serde(default)]
    pub solver: Solver,
    /// Key of ours: words that captions are made of, in place of classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Words>,
    /// Key of ours: most words of a caption.
    #[serde(default = "number::<16>")]
    pub most_words: usize,
    /// Key of ours: the autoencoder whose latents were learnt, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
}

fn name() -> String {
    "xar".to_owned()
}

fn cell() -> String {
    "cell".to_owned()
}

fn number<const N: usize>() -> usize {
    N
}

fn four() -> f64 {
    4.0
}

fn tenth() -> f32 {
    0.1
}

fn one() -> f32 {
    1.0
}

impl XarConfig {
    /// Whether a document is of this architecture.
    pub fn describes(document: &Value) -> bool {
        document.get("encoder_embed_dim").is_some() && document.get("vae_embed_dim").is_some()
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is missing or does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_value(document.clone())
            .map_err(|error| ConfigError::invalid("(whole file)", "sizes of an xAR", error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// Checks that sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (key, value, most) in [
            ("vae_embed_dim", self.vae_embed_dim, 1 << 12),
            ("encoder_embed_dim", self.encoder_embed_dim, 1 << 14),
            ("encoder_depth", self.encoder_depth, 1 << 10),
            ("decoder_depth", self.decoder_depth, 1 << 10),
            ("class_num", self.class_num, 1 << 24),
            ("vae_stride", self.vae_stride, 1 << 10),
            ("most_words", self.most_words, 1 << 12),
        ] {
            if !(1..=most).contains(&value) {
                return Err(ConfigError::invalid(key, format!("a number from 1 to {most}"), value.to_string()));
            }
        }
        let width = self.encoder_embed_dim;
        if self.decoder_embed_dim != width {
            let expected = format!("that of the encoder, {width}");
            return Err(ConfigError::invalid("decoder_embed_dim", expected, self.decoder_embed_dim.to_string()));
        }
        for (key, heads) in
            [("encoder_num_heads", self.encoder_num_heads), ("decoder_num_heads", self.decoder_num_heads)]
        {
            if heads == 0 || !width.is_multiple_of(heads) || !(width / heads).is_multiple_of(4) {
                let expected = format!("a divisor of {width} that leaves heads of a multiple of 4 channels");
                return Err(ConfigError::invalid(key, expected, heads.to_string()));
            }
        }
        if !(self.mlp_ratio > 0.0 && self.mlp_ratio <= 64.0) || self.hidden() == 0 {
            return Err(ConfigError::invalid("mlp_ratio", "a number above 0 and up to 64", self.mlp_ratio.to_string()));
        }
        if self.num_steps < 2 || self.num_steps > 1 << 16 {
            return Err(ConfigError::invalid("num_steps", "a number from 2 to 65536", self.num_steps.to_string()));
        }
        if !(0.0..=1.0).contains(&self.label_drop_prob) {
            return Err(ConfigError::invalid("label_drop_prob", "a share", self.label_drop_prob.to_string()));
        }
        if !(self.cfg >= 0.0 && self.cfg.is_finite()) {
            return Err(ConfigError::invalid("cfg", "a number from 0 on", self.cfg.to_string()));
        }
        if let Some(tokenizer) = &self.tokenizer
            && Fingerprint::from_hex(tokenizer).is_none()
        {
            return Err(ConfigError::invalid("tokenizer", "64 hexadecimal digits", tokenizer.clone()));
        }
        if self.ordered.is_some() && self.grid.is_some() {
            return Err(ConfigError::invalid("ordered", "no grid beside it", "both"));
        }
        if self.token_scales.is_some() && (self.grid.is_some() || self.ordered.is_some()) {
            return Err(ConfigError::invalid("token_scales", "no grid and no ordered beside them", "both"));
        }
        self.entities().map(drop)
    }

    /// Hidden width of the MLP.
    pub fn hidden(&self) -> usize {
        (self.encoder_embed_dim as f64 * self.mlp_ratio * 2.0 / 3.0) as usize
    }

    /// Arrangement of the latents.
    pub fn layout(&self) -> TokenLayout {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let [height, width] = self.grid().map(count);
        if let Some(counts) = &self.token_scales {
            return TokenLayout::Scales { counts: counts.iter().map(|&positions| count(positions)).collect() };
        }
        match self.ordered {
            Some(_) => TokenLayout::Ordered { len: width },
            None => TokenLayout::Grid { height, width },
        }
    }

    /// Rows and columns of the latents; a line is one row.
    pub fn grid(&self) -> [usize; 2] {
        if let Some(counts) = &self.token_scales {
            return [1, counts.iter().fold(0, |all: usize, &count| all.saturating_add(count))];
        }
        if let Some(length) = self.ordered {
            return [1, length];
        }
        let side = self.img_size / self.vae_stride.max(1);
        self.grid.map_or([side, side], Sides::both)
    }

    /// The entities of the latents.
    ///
    /// # Errors
    /// [`ConfigError`] if there are none of the name, or they do not tile the grid.
    pub fn entities(&self) -> Result<Entities, ConfigError> {
        let grid @ [height, width] = self.grid();
        let kind = match self.entity.as_str() {
            "patch" => EntityKind::Patch,
            "image" => EntityKind::Image,
            "cell" => EntityKind::Cell(match (self.cell, self.ordered) {
                (Some(sides), _) => sides.both(),
                (None, Some(length)) => [1, length / self.clusters.max(1)],
                (None, None) => {
                    let side = self.clusters.isqrt().max(1);
                    [height / side, width / side]
                }
            }),
            "subsample" => match self.subsample_distance {
                Some(distance) => EntityKind::Subsample(distance.both()),
                None => {
                    return Err(ConfigError::invalid(
                        "subsample_distance",
                        "latents of an entity in each direction",
                        "none",
                    ));
                }
            },
            "scale" if self.token_scales.is_some() => EntityKind::Scale(Vec::new()),
            "scale" => EntityKind::Scale(match &self.scales {
                Some(scales) => scales.iter().map(|sides| sides.both()).collect(),
                None => halves(grid),
            }),
            other => {
                let expected = "patch, cell, subsample, scale or image";
                return Err(ConfigError::invalid("entity", expected, format!("\"{other}\"")));
            }
        };
        match &self.token_scales {
            Some(counts) => Entities::of_scales(&kind, counts),
            None => Entities::new(&kind, grid),
        }
    }
}

/// The grid, its half, and so on down to one latent, the smallest first.
fn halves([height, width]: [usize; 2]) -> Vec<[usize; 2]> {
    let halved =
        |&[rows, columns]: &[usize; 2]| (rows > 1 || columns > 1).then(|| [(rows / 2).max(1), (columns / 2).max(1)]);
    let mut scales: Vec<[usize; 2]> = std::iter::successors(Some([height, width]), halved).collect();
    scales.reverse();
    scales
}
