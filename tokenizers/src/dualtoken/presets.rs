//! The released documents.

use serde_json::{Value, json};

/// Names of the released documents.
pub const PRESETS: [&str; 2] = ["dualtoken-siglip2-256-rvq4", "dualtoken-siglip2-384-rvq8"];

/// A released document.
pub(super) fn preset(name: &str) -> Option<Value> {
    let (pretrained, resolution, grid, latent, depth) = match name {
        "dualtoken-siglip2-256-rvq4" => ("siglip2-so400m-patch16-256", 256, 16, 16, 4),
        "dualtoken-siglip2-384-rvq8" => ("siglip2-so400m-patch14-384", 384, 27, 24, 8),
        _ => return None,
    };
    let quantizer = |bottleneck: &str| {
        json!({
            "bottleneck_type": bottleneck,
            "code_shape": [grid, grid, depth],
            "latent_shape": [grid, grid, 32],
            "embed_dim": 32,
            "n_embed": 16_384,
            "decay": 0.99,
            "restart_unused_codes": true,
            "shared_codebook": true,
        })
    };
    Some(json!({
        "model_type": "rqvaesigliptransformer_model",
        "hidden_size": 1152,
        "rqvaesiglip": {
            "hidden_size": 1152,
            "layer_recon": 6,
            "layer_sem": 26,
            "layer_shortcut": 4,
            "weight_shortcut": 0.6,
            "ddconfig": {
                "ch": 128,
                "ch_mult": [1, 1, 4, 4, 8],
                "num_res_blocks": 2,
                "attn_resolutions": [latent],
                "resolution": resolution,
                "decoder_in_channels": 1024,
                "out_ch": 3,
            },
            "decoder_latent_shape": [latent, latent],
            "vq_sem": quantizer("rq_ema"),
            "vq_pix": quantizer("rq"),
            "pretrained_model": pretrained,
        },
    }))
}
