//! The released models.

use serde_json::{Value, json};

/// Names of the released models.
pub const PRESETS: [&str; 2] = ["tokenflow-clipb-32k-enhanced", "tokenflow-siglip-32k"];

/// The configuration of a released model.
pub(super) fn preset(name: &str) -> Option<Value> {
    match name {
        "tokenflow-clipb-32k-enhanced" => as_released("clipb_224", true, true),
        "tokenflow-siglip-32k" => as_released("siglip_384", false, false),
        _ => None,
    }
}

/// What the released constructor makes of its arguments; `None` for an unknown teacher.
pub(super) fn as_released(teacher: &str, infer_interpolate: bool, enhanced_decoder: bool) -> Option<Value> {
    let (image_size, scales, encoder, decoder, out) = match (teacher, infer_interpolate) {
        ("clipb_224", _) => {
            let scales: &[usize] = match infer_interpolate {
                true => &[1, 2, 4, 6, 8, 10, 12, 14, 16],
                false => &[1, 2, 4, 6, 8, 10, 12, 14],
            };
            let encoder = json!({
                "kind": "clip_vit", "image_size": 224, "patch_size": 16, "width": 768, "layers": 12, "heads": 12, "mlp_ratio": 4.0,
            });
            (if infer_interpolate { 256 } else { 224 }, scales, encoder, (768, 14), 512)
        }
        ("siglip_384", _) => {
            let scales: &[usize] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 22, 27];
            let encoder = json!({
                "kind": "siglip_vision", "image_size": 384, "patch_size": 14, "width": 1152, "layers": 27, "heads": 16,
                "intermediate_size": 4304,
            });
            (384, scales, encoder, (1152, 27), 1152)
        }
        _ => return None,
    };
    let (width, grid) = decoder;
    Some(json!({
        "model": "TokenFlow",
        "teacher": teacher,
        "image_size": image_size,
        "infer_interpolate": infer_interpolate,
        "enhanced_decoder": enhanced_decoder,
        "codebook_size": 32_768,
        "codebook_embed_dim": 8,
        "semantic_code_dim": 32,
        "codebook_l2_norm": true,
        "commit_loss_beta": 0.25,
        "entropy_loss_ratio": 0.0,
        "z_channels": 256,
        "encoder_ch": 128,
        "encoder_ch_mult": [1, 1, 2, 2, 4],
        "encoder_num_res_blocks": 2,
        "decoder_ch": if enhanced_decoder { 256 } else { 128 },
        "decoder_ch_mult": [1, 1, 2, 2, 4],
        "decoder_num_res_blocks": if enhanced_decoder { 4 } else { 2 },
        "scales": scales,
        "semantic_encoder": encoder,
        "semantic_decoder": { "width": width, "layers": 3, "heads": 12, "grid": grid, "mlp_ratio": 4.0 },
        "decoder_out_dim": out,
    }))
}
