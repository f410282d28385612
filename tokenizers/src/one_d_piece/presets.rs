//! Every released One-D-Piece and TiTok tokenizer by name.
//!
//! Sources: `configs/one-d-piece_{s,b,l}256.yaml` of turingmotors/One-D-Piece at 473665d1, and `config.json` of the
//! TiTok releases (bytedance/1d-tokenizer at 942a96fb).

use super::OneDPieceConfig;

/// Names that [`OneDPieceConfig::preset`] knows.
pub const PRESETS: [&str; 9] = [
    "one-d-piece-s-256",
    "one-d-piece-b-256",
    "one-d-piece-l-256",
    "titok-s128",
    "titok-b64",
    "titok-l32",
    "titok-bl64-vq8k",
    "titok-bl128-vq8k",
    "titok-sl256-vq8k",
];

impl OneDPieceConfig {
    /// The configuration of a released model, or `None` for an unknown name.
    pub fn preset(name: &str) -> Option<Self> {
        Some(match name {
            "one-d-piece-s-256" => two_stage("small", 256, false),
            "one-d-piece-b-256" => two_stage("base", 256, false),
            "one-d-piece-l-256" => two_stage("large", 256, false),
            "titok-s128" => two_stage("small", 128, true),
            "titok-b64" => two_stage("base", 64, true),
            "titok-l32" => two_stage("large", 32, true),
            "titok-bl64-vq8k" => single_stage("base", 64),
            "titok-bl128-vq8k" => single_stage("base", 128),
            "titok-sl256-vq8k" => single_stage("small", 256),
            _ => return None,
        })
    }

    /// Whether this is the configuration of the released model `name`; the weight of a training loss does not count.
    pub(crate) fn is_preset(&self, name: &str) -> bool {
        Self::preset(name).is_some_and(|preset| {
            let strict = Some(self.strict_length_assertion != Some(false));
            preset == Self { commitment_cost: preset.commitment_cost, strict_length_assertion: strict, ..self.clone() }
        })
    }
}

fn two_stage(size: &str, tokens: usize, strict: bool) -> OneDPieceConfig {
    OneDPieceConfig {
        codebook_size: 4096,
        token_size: 12,
        use_l2_norm: true,
        commitment_cost: 0.25,
        vit_enc_model_size: size.to_owned(),
        vit_dec_model_size: size.to_owned(),
        vit_enc_patch_size: 16,
        vit_dec_patch_size: 16,
        num_latent_tokens: tokens,
        finetune_decoder: true,
        is_legacy: true,
        quantize_mode: "vq".to_owned(),
        strict_length_assertion: Some(strict),
        vit_enc_width: None,
        vit_enc_layers: None,
        vit_enc_heads: None,
        vit_dec_width: None,
        vit_dec_layers: None,
        vit_dec_heads: None,
        proxy_codebook_size: None,
        proxy_embedding_dim: None,
        pixel_decoder: None,
        latent_mix: None,
        crop_size: 256,
    }
}

fn single_stage(encoder: &str, tokens: usize) -> OneDPieceConfig {
    OneDPieceConfig {
        codebook_size: 8192,
        token_size: 64,
        use_l2_norm: false,
        vit_enc_model_size: encoder.to_owned(),
        finetune_decoder: false,
        is_legacy: false,
        ..two_stage("large", tokens, true)
    }
}
