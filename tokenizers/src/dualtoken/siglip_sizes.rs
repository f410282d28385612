//! Sizes of the SigLIP inside, with the keys of `transformers`.

use serde::{Deserialize, Serialize};
use tessera_layers::siglip::{TextSizes, VisionSizes};

use crate::config::ConfigError;

/// Both towers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiglipConfig {
    /// Pictures.
    pub vision_config: VisionConfig,
    /// Texts.
    pub text_config: TextConfig,
}

/// The tower of pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisionConfig {
    /// Channels.
    pub hidden_size: usize,
    /// Hidden units of the MLPs.
    pub intermediate_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Channels of a picture: 3.
    #[serde(default = "three")]
    pub num_channels: usize,
    /// Side of the pictures in pixels.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// `gelu_pytorch_tanh`.
    #[serde(default = "gelu")]
    pub hidden_act: String,
    /// Epsilon of every normalisation.
    #[serde(default = "epsilon")]
    pub layer_norm_eps: f64,
}

/// The tower of texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextConfig {
    /// Channels.
    pub hidden_size: usize,
    /// Hidden units of the MLPs.
    pub intermediate_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Ids.
    pub vocab_size: usize,
    /// Most positions.
    #[serde(default = "sixty_four")]
    pub max_position_embeddings: usize,
    /// Channels that come out; those of the tower where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projection_size: Option<usize>,
    /// `gelu_pytorch_tanh`.
    #[serde(default = "gelu")]
    pub hidden_act: String,
    /// Epsilon of every normalisation.
    #[serde(default = "epsilon")]
    pub layer_norm_eps: f64,
}

fn three() -> usize {
    3
}

fn sixty_four() -> usize {
    64
}

fn gelu() -> String {
    "gelu_pytorch_tanh".to_owned()
}

fn epsilon() -> f64 {
    1e-6
}

impl SiglipConfig {
    /// SigLIP 2 so400m of a patch and a size of pictures.
    pub fn so400m(patch_size: usize, image_size: usize) -> Self {
        Self {
            vision_config: VisionConfig {
                hidden_size: 1152,
                intermediate_size: 4304,
                num_hidden_layers: 27,
                num_attention_heads: 16,
                num_channels: 3,
                image_size,
                patch_size,
                hidden_act: gelu(),
                layer_norm_eps: epsilon(),
            },
            text_config: TextConfig {
                hidden_size: 1152,
                intermediate_size: 4304,
                num_hidden_layers: 27,
                num_attention_heads: 16,
                vocab_size: 256_000,
                max_position_embeddings: 64,
                projection_size: None,
                hidden_act: gelu(),
                layer_norm_eps: epsilon(),
            },
        }
    }

    /// The sizes of a pretrained model by the last part of its name or path.
    pub fn of_pretrained(name: &str) -> Option<Self> {
        match name.trim_end_matches('/').rsplit('/').next()? {
            "siglip2-so400m-patch16-256" => Some(Self::so400m(16, 256)),
            "siglip2-so400m-patch14-384" => Some(Self::so400m(14, 384)),
            _ => None,
        }
    }

    /// Checks that sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        let (vision, text) = (&self.vision_config, &self.text_config);
        for (tower, sizes) in [
            (
                "vision_config",
                [
                    ("hidden_size", vision.hidden_size),
                    ("intermediate_size", vision.intermediate_size),
                    ("num_hidden_layers", vision.num_hidden_layers),
                    ("num_attention_heads", vision.num_attention_heads),
                    ("image_size", vision.image_size),
                    ("patch_size", vision.patch_size),
                ],
            ),
            (
                "text_config",
                [
                    ("hidden_size", text.hidden_size),
                    ("intermediate_size", text.intermediate_size),
                    ("num_hidden_layers", text.num_hidden_layers),
                    ("num_attention_heads", text.num_attention_heads),
                    ("vocab_size", text.vocab_size),
                    ("max_position_embeddings", text.max_position_embeddings),
                ],
            ),
        ] {
            for (key, value) in sizes {
                if !(1..=1 << 20).contains(&value) {
                    let found = value.to_string();
                    return Err(ConfigError::invalid(&key_of(tower, key), "a number from 1 to 1048576", found));
                }
            }
        }
        for (tower, width, heads, act, epsilon) in [
            (
                "vision_config",
                vision.hidden_size,
                vision.num_attention_heads,
                &vision.hidden_act,
                vision.layer_norm_eps,
            ),
            ("text_config", text.hidden_size, text.num_attention_heads, &text.hidden_act, text.layer_norm_eps),
        ] {
            if !width.is_multiple_of(heads) {
                let expected = format!("a divisor of hidden_size {width}");
                return Err(ConfigError::invalid(&key_of(tower, "num_attention_heads"), expected, heads.to_string()));
            }
            if *act != gelu() {
                return Err(ConfigError::invalid(&key_of(tower, "hidden_act"), gelu(), act.clone()));
            }
            if !(epsilon > 0.0 && epsilon < 1.0) {
                let found = epsilon.to_string();
                return Err(ConfigError::invalid(&key_of(tower, "layer_norm_eps"), "a number between 0 and 1", found));
            }
        }
        if vision.num_channels != 3 {
            return Err(ConfigError::invalid(
                &key_of("vision_config", "num_channels"),
                "3",
                vision.num_channels.to_string(),
            ));
        }
        if vision.patch_size > vision.image_size || vision.image_size / vision.patch_size > 1 << 10 {
            let expected = format!("1 to 1024 patches in {} pixels", vision.image_size);
            let found = vision.patch_size.to_string();
            return Err(ConfigError::invalid(&key_of("vision_config", "patch_size"), expected, found));
        }
        if self.text().projection != vision.hidden_size {
            let expected = format!("{}, as pictures have", vision.hidden_size);
            let found = self.text().projection.to_string();
            return Err(ConfigError::invalid(&key_of("text_config", "projection_size"), expected, found));
        }
        Ok(())
    }

    /// The tower of pictures as its module takes it.
    pub fn vision(&self) -> VisionSizes {
        let config = &self.vision_config;
        VisionSizes {
            image: config.image_size,
            patch: config.patch_size,
            width: config.hidden_size,
            layers: config.num_hidden_layers,
            heads: config.num_attention_heads,
            hidden: config.intermediate_size,
            epsilon: config.layer_norm_eps,
        }
    }

    /// The tower of texts as its module takes it.
    pub fn text(&self) -> TextSizes {
        let config = &self.text_config;
        TextSizes {
            vocab: config.vocab_size,
            positions: config.max_position_embeddings,
            width: config.hidden_size,
            layers: config.num_hidden_layers,
            heads: config.num_attention_heads,
            hidden: config.intermediate_size,
            projection: config.projection_size.unwrap_or(config.hidden_size),
            epsilon: config.layer_norm_eps,
        }
    }
}

fn key_of(tower: &str, key: &str) -> String {
    format!("siglip_config.{tower}.{key}")
}
