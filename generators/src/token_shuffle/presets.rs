//! The paper's size.

use super::TokenShuffleConfig;
use crate::GuidanceSchedule;

/// Names that [`preset`] knows. No weights were released.
pub const PRESETS: [&str; 1] = ["token-shuffle-2.7b-1024"];

/// The configuration of the paper's model at 1024 pixels, or `None` for an unknown name.
///
/// The paper gives width 3072, 20 blocks, windows of 2 and two MLP blocks on each side; heads, hidden widths, vocabularies and special
/// ids are our choice.
pub fn preset(name: &str) -> Option<TokenShuffleConfig> {
    (name == PRESETS[0]).then_some(TokenShuffleConfig {
        text_vocab: 128_256,
        image_vocab: 16_384,
        dim: 3072,
        n_layers: 20,
        n_heads: 24,
        n_kv_heads: 24,
        ffn_hidden: 8192,
        window: 2,
        n_mlp_blocks: 2,
        mlp_ratio: 2,
        grid: Some([64, 64]),
        ordered: None,
        scales: None,
        rope_theta: 10_000.0,
        norm_eps: 1e-5,
        bos_id: 0,
        boi_id: 1,
        eoi_id: 2,
        first_text_id: 3,
        text_loss_weight: 1.0,
        z_loss_weight: 1e-5,
        cfg_scale: 7.5,
        guidance_schedule: GuidanceSchedule::HalfLinear,
        words: None,
        caption_len: None,
        sampling: None,
        turns: None,
        tokenizer: None,
    })
}
