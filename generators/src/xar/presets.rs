//! Released sizes.

use super::{Solver, XarConfig};

/// Names that [`preset`] knows.
pub const PRESETS: [&str; 3] = ["xar-b", "xar-l", "xar-h"];

/// The configuration of a released model, 256-pixel pictures on KL-16 latents in cells of 8x8, with the settings of its published
/// samples; `None` for an unknown name.
pub fn preset(name: &str) -> Option<XarConfig> {
    let (width, heads, depth, num_steps, cfg) = match name {
        "xar-b" => (768, 12, 8, 40, 2.7),
        "xar-l" => (1024, 16, 16, 50, 2.3),
        "xar-h" => (1280, 16, 20, 50, 2.2),
        _ => return None,
    };
    Some(XarConfig {
        model_type: "xar".to_owned(),
        img_size: 256,
        vae_stride: 16,
        vae_embed_dim: 16,
        encoder_embed_dim: width,
        encoder_depth: depth,
        encoder_num_heads: heads,
        decoder_embed_dim: width,
        decoder_depth: depth,
        decoder_num_heads: heads,
        mlp_ratio: 4.0,
        class_num: 1000,
        label_drop_prob: 0.1,
        clusters: 4,
        num_steps,
        cfg,
        grid: None,
        ordered: None,
        token_scales: None,
        entity: "cell".to_owned(),
        cell: None,
        subsample_distance: None,
        scales: None,
        solver: Solver::Sde,
        words: None,
        most_words: 16,
        tokenizer: None,
    })
}
