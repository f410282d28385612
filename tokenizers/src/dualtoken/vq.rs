//! Sections `vq_pix` and `vq_sem`: the residual codebooks.

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;
use crate::quantizers::{ResidualSizes, ResidualUpdate, Restart, UpdateForm};

/// How a residual codebook learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bottleneck {
    /// After every depth.
    Rq,
    /// Once, after all depths.
    RqEma,
}

/// One value for all depths, or one for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Many<T> {
    /// For all.
    One(T),
    /// For each.
    Each(Vec<T>),
}

/// Sections `vq_pix` and `vq_sem`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VqConfig {
    /// How the codebooks learn.
    pub bottleneck_type: Bottleneck,
    /// Rows, columns, codes of a position.
    pub code_shape: [usize; 3],
    /// Rows, columns, channels.
    pub latent_shape: [usize; 3],
    /// Channels.
    pub embed_dim: usize,
    /// Codes.
    pub n_embed: Many<usize>,
    /// Decay of the moving averages.
    pub decay: Many<f64>,
    /// Whether unused codes start anew.
    pub restart_unused_codes: bool,
    /// Whether all depths share one codebook.
    pub shared_codebook: bool,
}

impl<T: Clone> Many<T> {
    /// The values of `depth` depths.
    pub fn each(&self, depth: usize) -> Vec<T> {
        match self {
            Many::One(value) => vec![value.clone(); depth],
            Many::Each(values) => values.clone(),
        }
    }
}

impl VqConfig {
    /// Checks that sizes fit together, for a grid of patches and the channels of the SigLIP; `section` is where the keys stand.
    pub(super) fn check(&self, section: &str, grid: usize, hidden: usize) -> Result<(), ConfigError> {
        let key = |name: &str| format!("{section}.{name}");
        let [height, width, channels] = self.latent_shape;
        if [height, width] != [grid, grid] || channels != self.embed_dim {
            let expected = format!("[{grid}, {grid}, embed_dim {}]", self.embed_dim);
            return Err(ConfigError::invalid(&key("latent_shape"), expected, format!("{:?}", self.latent_shape)));
        }
        if self.embed_dim == 0 || !hidden.is_multiple_of(self.embed_dim) {
            let expected = format!("a divisor of hidden_size {hidden}");
            return Err(ConfigError::invalid(&key("embed_dim"), expected, self.embed_dim.to_string()));
        }
        let [rows, columns, depth] = self.code_shape;
        let divides = |part: usize, whole: usize| part > 0 && whole.is_multiple_of(part);
        if !divides(rows, height) || !divides(columns, width) || !(1..=64).contains(&depth) {
            let expected = format!("divisors of {height} and {width}, and 1 to 64 codes of a position");
            return Err(ConfigError::invalid(&key("code_shape"), expected, format!("{:?}", self.code_shape)));
        }
        let codes = self.n_embed.each(depth);
        let fits = codes.len() == depth && codes.iter().all(|codes| (1..=1 << 24).contains(codes));
        let is_one = matches!(self.n_embed, Many::One(_)) && matches!(self.decay, Many::One(_));
        if !fits || (self.shared_codebook && !is_one) {
            let expected = match self.shared_codebook {
                true => "one number from 1 to 2^24 (and one decay): the codebook is shared".to_owned(),
                false => format!("one number from 1 to 2^24, or {depth} of them"),
            };
            return Err(ConfigError::invalid(&key("n_embed"), expected, format!("{:?}", self.n_embed)));
        }
        let decay = self.decay.each(depth);
        if decay.len() != depth || !decay.iter().all(|decay| (0.0..=1.0).contains(decay)) {
            let expected = format!("one number from 0 to 1, or {depth} of them");
            return Err(ConfigError::invalid(&key("decay"), expected, format!("{:?}", self.decay)));
        }
        Ok(())
    }

    /// The sizes of the quantizer.
    pub fn sizes(&self) -> ResidualSizes {
        ResidualSizes {
            latent: self.latent_shape,
            code: self.code_shape,
            codes: self.n_embed.each(self.code_shape[2]),
            is_shared: self.shared_codebook,
        }
    }

    /// How the quantizer learns. With `as_released` an `rq_ema` repeats the mistake of the released code; see
    /// [`UpdateForm::AllDepthsReleased`].
    pub fn update(&self, as_released: bool) -> ResidualUpdate {
        ResidualUpdate {
            form: match (self.bottleneck_type, as_released) {
                (Bottleneck::Rq, _) => UpdateForm::EachDepth,
                (Bottleneck::RqEma, false) => UpdateForm::AllDepths,
                (Bottleneck::RqEma, true) => UpdateForm::AllDepthsReleased,
            },
            decay: self.decay.each(self.code_shape[2]),
            restart: if self.restart_unused_codes { Restart::Unused } else { Restart::Off },
        }
    }
}
