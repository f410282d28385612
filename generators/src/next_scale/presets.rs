//! Sizes by name.

use tessera_tokenizers::vat::VatConfig;

use super::config::{ConditionKind, NextScaleConfig, ScaleArConfig};

/// Names that [`preset`] knows.
pub const PRESETS: [&str; 6] = ["vat-ar-xs", "vat-ar-s", "vat-ar-m", "vat-ar-l", "vat-ar-xl", "vat-ar-xxl"];

/// A generator of the tokens of `vat-paper-256` on features of DINOv2 ViT-L/14, 257 x 1024; `None` for an unknown name.
///
/// Numbers of parameters are close to the points of the scaling curve of arXiv 2412.02202; width, layers and heads are tessera's
/// choice.
pub fn preset(name: &str) -> Option<NextScaleConfig> {
    let (dim, depth, heads) = match name {
        "vat-ar-xs" => (256, 8, 4),
        "vat-ar-s" => (512, 8, 8),
        "vat-ar-m" => (640, 12, 10),
        "vat-ar-l" => (768, 16, 12),
        "vat-ar-xl" => (1280, 24, 20),
        "vat-ar-xxl" => (2048, 30, 32),
        _ => return None,
    };
    let tokenizer = VatConfig::preset("vat-paper-256")?;
    Some(NextScaleConfig {
        model_type: tokenizer.model_type,
        latent_dim: tokenizer.latent_dim,
        num_latents: tokenizer.num_latents,
        quantizer: tokenizer.quantizer,
        ar: ScaleArConfig {
            dim,
            depth,
            heads,
            mlp_ratio: 4.0,
            qk_norm: true,
            cond_tokens: 257,
            cond_dim: 1024,
            cond_kind: ConditionKind::Image,
            cond2_tokens: 0,
            cond2_dim: 0,
            cond2_kind: ConditionKind::Text,
            classes: None,
            class_names: Vec::new(),
            words: None,
            most_words: 0,
            cond_drop: 0.1,
            cfg: 1.5,
            top_p: 0.95,
            tokenizer: None,
        },
    })
}
