//! Tiny configurations.

use serde_json::{Value, json};

/// A TokenFlow for 16 pixels a side, of scales of these sides and so many codes.
pub fn tokenflow(scales: &[usize], codes: usize) -> Value {
    json!({
        "model": "TokenFlow", "teacher": "clipb_224", "image_size": 16, "scales": scales, "codebook_size": codes,
        "codebook_embed_dim": 4, "semantic_code_dim": 6, "z_channels": 8, "entropy_loss_ratio": 0.01,
        "encoder_ch": 32, "encoder_ch_mult": [1, 1, 1], "encoder_num_res_blocks": 1,
        "decoder_ch": 32, "decoder_ch_mult": [1, 1, 1], "decoder_num_res_blocks": 1, "decoder_out_dim": 24,
        "semantic_encoder": {"kind": "clip_vit", "image_size": 12, "patch_size": 4, "width": 24, "layers": 1, "heads": 3},
        "semantic_decoder": {"width": 24, "layers": 1, "heads": 3, "grid": 3},
    })
}

/// A DualToken for 16 pixels a side, 4 x 4 positions of 3 pixel codes and 2 semantic ones.
pub fn dualtoken() -> Value {
    let quantizer = |kind: &str, depth: usize, channels: usize, codes: usize| {
        json!({
            "bottleneck_type": kind, "code_shape": [4, 4, depth], "latent_shape": [4, 4, channels], "embed_dim": channels,
            "n_embed": codes, "decay": 0.9, "restart_unused_codes": true, "shared_codebook": true,
        })
    };
    json!({
        "hidden_size": 32,
        "rqvaesiglip": {
            "hidden_size": 32, "layer_recon": 1, "layer_sem": 2, "layer_shortcut": 1, "weight_shortcut": 0.6,
            "ddconfig": {
                "ch": 32, "ch_mult": [1, 1, 1], "num_res_blocks": 1, "attn_resolutions": [4], "resolution": 16,
                "decoder_in_channels": 32,
            },
            "vq_sem": quantizer("rq_ema", 2, 8, 20), "vq_pix": quantizer("rq", 3, 16, 30),
        },
        "siglip_config": {
            "vision_config": {
                "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 3, "num_attention_heads": 2,
                "image_size": 16, "patch_size": 4,
            },
            "text_config": {
                "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 1, "num_attention_heads": 2,
                "vocab_size": 11, "max_position_embeddings": 5,
            },
        },
    })
}

/// A VAT of these scales, `width` numbers a latent and so many codes.
pub fn vat(scales: &[usize], width: usize, codes: usize) -> Value {
    json!({
        "model_type": "vat", "num_latents": scales.last(), "latent_dim": width,
        "input": {"num_points": 40, "num_freqs": 3},
        "encoder": {"dim": 16, "depth": 1, "heads": 2},
        "quantizer": {"scales": scales, "codebook_size": codes, "share_quant_resi": 2},
        "decoder": {"dim": 16, "depth": 1, "heads": 2, "plane_tokens": 2},
        "triplane": {"channels": [8, 8], "out_channels": 4, "norm_groups": 4},
        "occupancy": {"hidden": 8, "layers": 2},
    })
}
