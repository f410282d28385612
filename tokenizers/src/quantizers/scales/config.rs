//! Sizes and variants of a quantizer over scales.

use serde::{Deserialize, Serialize};

use crate::{ConfigError, TokenLayout};

/// How latents are made coarser and finer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resample {
    /// Along the line of their indices: means, and linear interpolation.
    #[default]
    Linear1d,
    /// As a square, row by row: means of areas, and bicubic interpolation. Equals VAR's released quantizer.
    Grid2d,
}

/// The section `quantizer` of a configuration; unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScaleQuantizerConfig {
    /// Tokens of each scale, coarse to fine; the last has as many as there are latents.
    pub scales: Vec<usize>,
    /// Codes.
    pub codebook_size: usize,
    /// How latents are made coarser and finer.
    #[serde(default)]
    pub resample: Resample,
    /// Share of the convolution in Phi.
    #[serde(default = "half")]
    pub quant_resi: f64,
    /// Convolutions that the scales share: 0 for one for each scale.
    #[serde(default = "four")]
    pub share_quant_resi: usize,
    /// Whether codes are looked up by angle rather than distance.
    #[serde(default)]
    pub znorm: bool,
    /// Weight of the commitment.
    #[serde(default = "quarter")]
    pub beta: f64,
}

fn half() -> f64 {
    0.5
}

fn four() -> usize {
    4
}

fn quarter() -> f64 {
    0.25
}

impl ScaleQuantizerConfig {
    /// Checks that the sizes fit together, and to `latents` latents.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self, latents: usize) -> Result<(), ConfigError> {
        let most = tessera_shaders::MAX_SCALES;
        if !(1..=most).contains(&self.scales.len()) {
            let found = format!("{} scales", self.scales.len());
            return Err(ConfigError::invalid("quantizer.scales", format!("1 to {most} scales"), found));
        }
        let fits = |count: &usize| (1..=latents).contains(count);
        if self.scales.last() != Some(&latents) || !self.scales.iter().all(fits) {
            let expected = format!("numbers of tokens up to the {latents} latents, which is the last of them");
            return Err(ConfigError::invalid("quantizer.scales", expected, format!("{:?}", self.scales)));
        }
        let is_square = |count: &usize| count.isqrt().pow(2) == *count;
        if self.resample == Resample::Grid2d && !self.scales.iter().all(is_square) {
            let found = format!("{:?}", self.scales);
            return Err(ConfigError::invalid("quantizer.scales", "squares, as \"grid2d\" resamples squares", found));
        }
        if !(1..=1 << 24).contains(&self.codebook_size) {
            let found = self.codebook_size.to_string();
            return Err(ConfigError::invalid("quantizer.codebook_size", "a number from 1 to 16777216", found));
        }
        if self.share_quant_resi > 1 << 10 {
            let found = self.share_quant_resi.to_string();
            return Err(ConfigError::invalid("quantizer.share_quant_resi", "a number up to 1024", found));
        }
        let shares = [("quantizer.quant_resi", self.quant_resi), ("quantizer.beta", self.beta)];
        match shares.into_iter().find(|(_, value)| !(*value >= 0.0 && value.is_finite())) {
            Some((key, value)) => Err(ConfigError::invalid(key, "a number from 0 on", value.to_string())),
            None => Ok(()),
        }
    }

    /// Convolutions that there are.
    pub fn convolutions(&self) -> usize {
        if self.share_quant_resi == 0 { self.scales.len() } else { self.share_quant_resi }
    }

    /// Tokens of all scales.
    pub fn tokens(&self) -> usize {
        self.scales.iter().sum()
    }

    /// Arrangement of the tokens.
    pub fn layout(&self) -> TokenLayout {
        TokenLayout::Scales {
            counts: self.scales.iter().map(|&count| u32::try_from(count).unwrap_or(u32::MAX)).collect(),
        }
    }

    /// Bytes of an item's packed tokens, without a file's header: `ceil(tokens * ceil(log2 codes) / 8)`.
    pub fn payload_bytes(&self) -> usize {
        let bits = crate::id_bits(u32::try_from(self.codebook_size).unwrap_or(u32::MAX));
        (self.tokens() * usize::try_from(bits).unwrap_or(0)).div_ceil(8)
    }
}
