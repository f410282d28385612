//! Tiny tokenizers.

use serde_json::{Value, json};
use tessera::tokenizers::ModelConfig;
use tessera::tokenizers::flextok::{FlexTokConfig, LatentConfig};
use tessera::tokenizers::patch_dct::PatchDctConfig;

use super::SIDE;

/// A tiny SEED with a pixel decoder.
pub fn seed_pixels() -> Value {
    json!({
        "model_type": "seed_pixels",
        "seed": {
            "model_type": "seed2_tokenizer",
            "vit": {"img_size": SIDE, "patch_size": 4, "embed_dim": 16, "depth": 1, "num_heads": 2, "mlp_ratio": 2},
            "qformer": {
                "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, "encoder_width": 16,
            },
            "num_query_token": 6, "codebook_embed_dim": 4, "n_embed": 24, "decode_depth": 1, "decode_num_heads": 2,
            "image_down_dims": [8], "image_features_dim": 8,
        },
        "pixels": {"side": 8, "patch": 4, "width": 16, "depth": 1, "heads": 2, "steps": 2},
    })
}

/// A tiny FlexTok on a fixed transform.
pub fn flextok() -> Value {
    let mut config = FlexTokConfig::preset("flextok-d12-d12").unwrap();
    for trunk in [&mut config.encoder, &mut config.decoder] {
        (trunk.dim, trunk.depth, trunk.max_sizes) = (64, 1, [1, 1]);
    }
    let dct = PatchDctConfig::new(8, 12, 2);
    config.vae.architecture = LatentConfig::PatchDct(dct);
    (config.registers, config.levels) = (6, vec![4, 3, 2]);
    config.sampling.steps = 2;
    ModelConfig::FlexTok(config).to_value()
}
