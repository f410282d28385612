//! Configurations of SEED tokenizers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::contrastive_config::STAGE_1;
use super::sizes::{LossWeights, Mix, QformerConfig, ReverseConfig, VitConfig, divides, positive, scaled, within};
use crate::{ConfigError, ResizeFilter};

/// What makes causal embeddings of pictures: ViT, its normalisation, and the Q-Former.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EncoderConfig {
    /// The vision transformer.
    pub vit: VitConfig,
    /// Epsilon of the normalisation behind it.
    pub ln_vision_eps: f64,
    /// The Q-Former.
    pub qformer: QformerConfig,
    /// Learned queries: tokens of a picture.
    pub num_query_token: usize,
    /// Key of ours: whether a query sees only itself and those before it. Released code decides that by the number of queries,
    /// which must be 32; here any number may be causal or not.
    pub causal: bool,
    /// Key of ours: what queries start from beside their learned vectors. With `dct` query `i` starts from the `i`-th lowest frequency
    /// of the ViT's patches, which is also added to its embedding; the ViT must be as wide as the Q-Former. A query still depends on the picture and on those before it alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_mix: Option<Mix>,
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self {
            vit: VitConfig::default(),
            ln_vision_eps: 1e-5,
            qformer: QformerConfig::default(),
            num_query_token: 32,
            causal: true,
            query_mix: None,
        }
    }
}

impl EncoderConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.vit.check()?;
        self.qformer.check()?;
        positive("ln_vision_eps", self.ln_vision_eps)?;
        within("num_query_token", self.num_query_token, 1 << 14)?;
        if self.qformer.encoder_width != self.vit.embed_dim {
            let expected = format!("{}, the width of the ViT (vit.embed_dim)", self.vit.embed_dim);
            let found = self.qformer.encoder_width.to_string();
            return Err(ConfigError::invalid("qformer.encoder_width", expected, found));
        }
        if self.query_mix.is_some() && self.qformer.hidden_size != self.vit.embed_dim {
            let expected = format!("{}, as wide as the ViT, with query_mix", self.vit.embed_dim);
            return Err(ConfigError::invalid("qformer.hidden_size", expected, self.qformer.hidden_size.to_string()));
        }
        Ok(())
    }
}

/// Which of the published tokenizers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeedKind {
    /// SEED: decodes to the 77 vectors of a text encoder.
    #[serde(rename = "seed1_tokenizer")]
    Seed1,
    /// SEED-2: decodes to one image embedding.
    #[serde(rename = "seed2_tokenizer")]
    Seed2,
    /// SEED-2 as its published training code has it, with a reverse Q-Former for a head.
    #[serde(rename = "seed2_training_stage2")]
    Seed2Training,
}

/// A SEED tokenizer, with the keys of recorded configurations; other keys are ignored, absent keys are the release's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedConfig {
    /// Which tokenizer.
    pub model_type: SeedKind,
    /// Pictures to causal embeddings.
    #[serde(flatten)]
    pub encoder: EncoderConfig,
    /// Channels of a code.
    #[serde(default = "number::<32>")]
    pub codebook_embed_dim: usize,
    /// Codes.
    #[serde(default = "number::<8192>")]
    pub n_embed: usize,
    /// Weight of the quantizer's codebook term; its commitment has weight 1.
    #[serde(default = "quarter")]
    pub vq_beta: f64,
    /// Blocks of each decoder.
    #[serde(default = "number::<4>")]
    pub decode_depth: usize,
    /// Heads of these blocks, whatever the Q-Former has.
    #[serde(default = "number::<12>")]
    pub decode_num_heads: usize,
    /// Hidden units of their MLP over the width.
    #[serde(default = "four")]
    pub decode_mlp_ratio: f64,
    /// Their LayerNorm epsilon.
    #[serde(default = "millionth")]
    pub decode_norm_eps: f64,
    /// Whether SEED-2's head is a reverse Q-Former and not an MLP. SEED-1's always is.
    #[serde(default)]
    pub use_qformer_image: bool,
    /// Widths of the MLP head's layers.
    #[serde(default = "image_down")]
    pub image_down_dims: Vec<usize>,
    /// The reverse Q-Former, where the head is one; absent, as published: 4 layers, 77 tokens of SEED-1, 1 of SEED-2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverse_qformer: Option<ReverseConfig>,
    /// Channels of SEED-2's features.
    #[serde(default = "number::<1024>")]
    pub image_features_dim: usize,
    /// Channels of SEED-1's features.
    #[serde(default = "number::<768>")]
    pub text_features_dim: usize,
    /// Weights of the losses of the second training stage.
    #[serde(default)]
    pub loss_weights: LossWeights,
    /// Key of ours: `bicubic` or `bilinear`, how pictures are resized. Releases differ; their tokenizer has bicubic.
    #[serde(default = "bicubic")]
    pub resize: String,
}

fn number<const N: usize>() -> usize {
    N
}

fn quarter() -> f64 {
    0.25
}

fn four() -> f64 {
    4.0
}

fn millionth() -> f64 {
    1e-6
}

fn image_down() -> Vec<usize> {
    vec![256, 128, 32]
}

fn bicubic() -> String {
    "bicubic".to_owned()
}

impl SeedConfig {
    /// The released sizes of a tokenizer.
    pub fn released(model_type: SeedKind) -> Self {
        Self {
            model_type,
            encoder: EncoderConfig::default(),
            codebook_embed_dim: 32,
            n_embed: 8192,
            vq_beta: quarter(),
            decode_depth: 4,
            decode_num_heads: 12,
            decode_mlp_ratio: four(),
            decode_norm_eps: millionth(),
            use_qformer_image: model_type == SeedKind::Seed2Training,
            image_down_dims: image_down(),
            reverse_qformer: None,
            image_features_dim: 1024,
            text_features_dim: 768,
            loss_weights: LossWeights::default(),
            resize: bicubic(),
        }
    }

    /// Whether a document is of this architecture, a tokenizer or a stage of its training.
    pub fn describes(document: &Value) -> bool {
        document.get("model_type").and_then(Value::as_str).is_some_and(|name| name.starts_with("seed"))
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is missing or does not fit; [`ConfigError::Unsupported`] for the first training stage, which
    /// has no codebook (see [`ContrastiveConfig`](super::ContrastiveConfig)).
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        if document.get("model_type").and_then(Value::as_str) == Some(STAGE_1) {
            return Err(ConfigError::Unsupported(
                "this is SEED's first training stage, which has no codebook and makes no tokens: open it with \
                 seed::load_contrastive, or a checkpoint of the second stage"
                    .to_owned(),
            ));
        }
        let config: Self = serde_json::from_value(document.clone())
            .map_err(|error| ConfigError::invalid("(whole file)", "sizes of a SEED tokenizer", error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The configuration as [`SeedConfig::from_value`] reads it.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.encoder.check()?;
        self.loss_weights.check()?;
        let width = self.width();
        for (key, value, most) in [
            ("codebook_embed_dim", self.codebook_embed_dim, 1 << 12),
            ("n_embed", self.n_embed, 1 << 24),
            ("decode_depth", self.decode_depth, 1 << 10),
            ("decode_mlp_ratio (times qformer.hidden_size)", scaled(width, self.decode_mlp_ratio), 1 << 17),
            ("image_features_dim", self.image_features_dim, 1 << 17),
            ("text_features_dim", self.text_features_dim, 1 << 17),
        ] {
            within(key, value, most)?;
        }
        divides("decode_num_heads", self.decode_num_heads, "qformer.hidden_size", width)?;
        positive("decode_norm_eps", self.decode_norm_eps)?;
        if !(self.vq_beta >= 0.0 && self.vq_beta.is_finite()) {
            return Err(ConfigError::invalid("vq_beta", "a number from 0 on", self.vq_beta.to_string()));
        }
        let fits = |dim: &usize| (1..=1 << 14).contains(dim);
        if !(1..=16).contains(&self.image_down_dims.len()) || !self.image_down_dims.iter().all(fits) {
            let expected = "1 to 16 widths from 1 to 16384";
            return Err(ConfigError::invalid("image_down_dims", expected, format!("{:?}", self.image_down_dims)));
        }
        if let Some(reverse) = self.reverse() {
            reverse.check(width)?;
        }
        self.resize_filter().map(drop)
    }

    /// Channels of causal embeddings and of the decoders.
    pub fn width(&self) -> usize {
        self.encoder.qformer.hidden_size
    }

    /// The reverse Q-Former of the head; `None` for an MLP.
    pub fn reverse(&self) -> Option<ReverseConfig> {
        let published =
            |tokens| ReverseConfig { num_query_token: tokens, encoder_width: self.width(), ..Default::default() };
        match self.model_type {
            SeedKind::Seed1 => Some(self.reverse_qformer.clone().unwrap_or_else(|| published(77))),
            _ if self.use_qformer_image => Some(self.reverse_qformer.clone().unwrap_or_else(|| published(1))),
            _ => None,
        }
    }

    /// Rows and channels of the features.
    pub fn features(&self) -> [usize; 2] {
        let rows = self.reverse().map_or(1, |reverse| reverse.num_query_token);
        match self.model_type {
            SeedKind::Seed1 => [rows, self.text_features_dim],
            _ => [rows, self.image_features_dim],
        }
    }

    pub(crate) fn resize_filter(&self) -> Result<ResizeFilter, ConfigError> {
        match self.resize.as_str() {
            "bicubic" => Ok(ResizeFilter::Bicubic),
            "bilinear" => Ok(ResizeFilter::Bilinear),
            other => Err(ConfigError::invalid("resize", "\"bicubic\" or \"bilinear\"", format!("\"{other}\""))),
        }
    }
}
