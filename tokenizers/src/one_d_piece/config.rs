//! Configuration of a One-D-Piece or TiTok tokenizer, as the released files write it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::ConfigError;
use crate::maskgit_vqgan::VqganConfig;

/// Which of the two families a checkpoint belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Any prefix of the tokens decodes.
    OneDPiece,
    /// All tokens are needed.
    TiTok,
}

/// Sizes of one transformer tower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tower {
    /// Channels.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Patch side in pixels.
    pub patch: usize,
}

/// What latent tokens hold before the first block, beside their learned vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatentMix {
    /// Latent `n` starts from the `n`-th lowest spatial frequency of the patch embeddings (orthonormal 2D DCT-II), and
    /// the decoder's mask tokens from the inverse transform of the tokens that are there. Adds no parameter.
    Dct,
}

/// `model.vq_model` and `dataset.preprocessing` of a released configuration, key for key.
///
/// Keys ending in `_width`, `_layers`, `_heads`, `proxy_*`, `pixel_decoder` and `latent_mix` do not occur in released files: they
/// let small models be described. Absent, the named sizes and the constants of the reference hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OneDPieceConfig {
    /// Codes in the codebook.
    pub codebook_size: usize,
    /// Channels of a code.
    pub token_size: usize,
    /// Compare latents and codes on the unit sphere.
    pub use_l2_norm: bool,
    /// Weight of the commitment loss.
    #[serde(default = "quarter")]
    pub commitment_cost: f64,
    /// `small`, `base` or `large`.
    pub vit_enc_model_size: String,
    /// `small`, `base` or `large`.
    pub vit_dec_model_size: String,
    /// Patch side of the encoder in pixels.
    pub vit_enc_patch_size: usize,
    /// Patch side of the decoder in pixels.
    pub vit_dec_patch_size: usize,
    /// Latent tokens, the longest token sequence.
    pub num_latent_tokens: usize,
    /// Second training stage: the pixel decoder is part of the model.
    #[serde(default = "yes")]
    pub finetune_decoder: bool,
    /// Two-stage model with the reinterpreted latents of the first release; false means single stage, RGB out.
    #[serde(default = "yes")]
    pub is_legacy: bool,
    /// `vq`; `vae` is refused.
    #[serde(default = "vq")]
    pub quantize_mode: String,
    /// Demand all tokens when decoding. `None`: true for TiTok, false for One-D-Piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict_length_assertion: Option<bool>,
    /// Overrides of the encoder's named size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vit_enc_width: Option<usize>,
    /// Overrides of the encoder's named size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vit_enc_layers: Option<usize>,
    /// Overrides of the encoder's named size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vit_enc_heads: Option<usize>,
    /// Overrides of the decoder's named size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vit_dec_width: Option<usize>,
    /// Overrides of the decoder's named size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vit_dec_layers: Option<usize>,
    /// Overrides of the decoder's named size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vit_dec_heads: Option<usize>,
    /// Proxy codes, 1,024 in every release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_codebook_size: Option<usize>,
    /// Width of a proxy code, 256 in every release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_embedding_dim: Option<usize>,
    /// Sizes of the pixel decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel_decoder: Option<VqganConfig>,
    /// Fixed mix of patches that latent tokens start from; no released model has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latent_mix: Option<LatentMix>,
    /// Side of the square picture in pixels (`dataset.preprocessing.crop_size`).
    #[serde(skip, default = "released_crop")]
    pub crop_size: usize,
}

fn quarter() -> f64 {
    0.25
}

fn yes() -> bool {
    true
}

fn vq() -> String {
    "vq".to_owned()
}

fn released_crop() -> usize {
    256
}

impl OneDPieceConfig {
    /// Reads a whole released configuration (`model.vq_model`, `dataset.preprocessing.crop_size`); unknown keys are
    /// ignored, as the reference does.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key that is missing or does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let model = &document["model"];
        let architecture = match &model["type"] {
            Value::Null => None,
            Value::String(name) => Some(name.as_str()),
            other => return Err(ConfigError::invalid("model.type", "a name", other.to_string())),
        };
        if !matches!(architecture, None | Some("one_d_piece" | "titok")) {
            let found = architecture.unwrap_or_default();
            return Err(ConfigError::UnknownArchitecture(format!(
                "model.type is \"{found}\"; known are one_d_piece and titok (or no model.type at all)"
            )));
        }
        let section = model
            .get("vq_model")
            .ok_or_else(|| ConfigError::UnknownArchitecture("the config has no model.vq_model section".to_owned()))?;
        let mut config: Self = serde_json::from_value(section.clone())
            .map_err(|error| ConfigError::invalid("model.vq_model", "the released keys", error.to_string()))?;
        if let Some(crop) = document["dataset"]["preprocessing"].get("crop_size") {
            config.crop_size = crop
                .as_u64()
                .and_then(|crop| usize::try_from(crop).ok())
                .ok_or_else(|| ConfigError::invalid("crop_size", "a number of pixels", crop.to_string()))?;
        }
        if config.strict_length_assertion.is_none() && architecture == Some("one_d_piece") {
            config.strict_length_assertion = Some(false);
        }
        config.check()?;
        Ok(config)
    }

    /// The configuration as a released file writes it.
    pub fn to_value(&self) -> Value {
        let name = match self.family() {
            Family::OneDPiece => "one_d_piece",
            Family::TiTok => "titok",
        };
        json!({
            "model": { "type": name, "vq_model": self },
            "dataset": { "preprocessing": { "crop_size": self.crop_size } },
        })
    }

    /// One-D-Piece decodes prefixes, TiTok does not.
    pub fn family(&self) -> Family {
        match self.strict_length_assertion {
            Some(false) => Family::OneDPiece,
            _ => Family::TiTok,
        }
    }

    /// Sizes of the encoder.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] for an unknown size name or sizes that do not fit.
    pub fn encoder(&self) -> Result<Tower, ConfigError> {
        let overrides = [self.vit_enc_width, self.vit_enc_layers, self.vit_enc_heads];
        tower("vit_enc", &self.vit_enc_model_size, overrides, self.vit_enc_patch_size, self.crop_size)
    }

    /// Sizes of the decoder.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] for an unknown size name or sizes that do not fit.
    pub fn decoder(&self) -> Result<Tower, ConfigError> {
        let overrides = [self.vit_dec_width, self.vit_dec_layers, self.vit_dec_heads];
        tower("vit_dec", &self.vit_dec_model_size, overrides, self.vit_dec_patch_size, self.crop_size)
    }

    /// Proxy codes and the width of one.
    pub fn proxy_codebook(&self) -> [usize; 2] {
        [self.proxy_codebook_size.unwrap_or(1024), self.proxy_embedding_dim.unwrap_or(256)]
    }

    /// Sizes of the pixel decoder.
    pub fn pixel_decoder(&self) -> VqganConfig {
        self.pixel_decoder.clone().unwrap_or_default()
    }

    /// Whether the model holds a pixel decoder: two-stage and past its first stage.
    pub fn has_pixel_decoder(&self) -> bool {
        self.finetune_decoder && self.is_legacy
    }

    /// Checks that all sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.quantize_mode == "vae" {
            return Err(ConfigError::Unsupported(
                "this is a VAE-mode TiTok (quantize_mode \"vae\": continuous tokens), which tessera does not \
                 build; use a vq checkpoint"
                    .to_owned(),
            ));
        }
        if self.quantize_mode != "vq" {
            return Err(ConfigError::invalid("quantize_mode", "\"vq\"", format!("{:?}", self.quantize_mode)));
        }
        if self.finetune_decoder && !self.is_legacy {
            return Err(ConfigError::invalid(
                "finetune_decoder",
                "false for a single-stage model (is_legacy false)",
                "true",
            ));
        }
        for (key, value, most) in [
            ("codebook_size", self.codebook_size, 1 << 24),
            ("token_size", self.token_size, 1 << 14),
            ("num_latent_tokens", self.num_latent_tokens, 1 << 16),
            ("crop_size", self.crop_size, 1 << 14),
            ("proxy_codebook_size", self.proxy_codebook()[0], 1 << 24),
            ("proxy_embedding_dim", self.proxy_codebook()[1], 1 << 14),
        ] {
            if value == 0 || value > most {
                let expected = format!("a number from 1 to {most}");
                return Err(ConfigError::invalid(key, expected, value.to_string()));
            }
        }
        self.encoder()?;
        let decoder = self.decoder()?;
        if self.has_pixel_decoder() {
            let pixels = self.pixel_decoder();
            pixels.check()?;
            if pixels.z_channels != self.proxy_codebook()[1] || pixels.downsampling() != decoder.patch {
                return Err(ConfigError::invalid(
                    "pixel_decoder",
                    format!(
                        "z_channels {} and {}x upsampling, as the codebook and the patches have",
                        self.proxy_codebook()[1],
                        decoder.patch
                    ),
                    format!("z_channels {} and {}x", pixels.z_channels, pixels.downsampling()),
                ));
            }
        }
        Ok(())
    }
}

fn tower(
    prefix: &str,
    size: &str,
    [width, layers, heads]: [Option<usize>; 3],
    patch: usize,
    crop: usize,
) -> Result<Tower, ConfigError> {
    let named = match size {
        "small" => [512, 8, 8],
        "base" => [768, 12, 12],
        "large" => [1024, 24, 16],
        _ => {
            let key = format!("{prefix}_model_size");
            return Err(ConfigError::invalid(&key, "small, base or large", format!("{size:?}")));
        }
    };
    let tower = Tower {
        width: width.unwrap_or(named[0]),
        layers: layers.unwrap_or(named[1]),
        heads: heads.unwrap_or(named[2]),
        patch,
    };
    let fits = tower.heads > 0
        && tower.width > 0
        && tower.width.is_multiple_of(tower.heads)
        && tower.width <= 1 << 14
        && tower.layers <= 1 << 10;
    if !fits {
        let found = format!("width {}, heads {}, layers {}", tower.width, tower.heads, tower.layers);
        return Err(ConfigError::invalid(prefix, "a width that its heads divide", found));
    }
    if patch == 0 || !crop.is_multiple_of(patch) || crop / patch > 1 << 10 {
        let key = format!("{prefix}_patch_size");
        let expected = format!("a divisor of crop_size {crop}");
        return Err(ConfigError::invalid(&key, expected, patch.to_string()));
    }
    Ok(tower)
}
