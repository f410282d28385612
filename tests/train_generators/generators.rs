//! Tiny generators.

use serde_json::{Value, json};
use tessera::tokenizers::TokenLayout;

pub fn decoder(codes: usize, layout: Value, positions: usize) -> Value {
    json!({
        "dim": 16, "n_layer": 1, "n_head": 2, "multiple_of": 8, "model_type": "t2i", "caption_dim": 8, "cls_token_num": 4,
        "vocab_size": codes, "block_size": positions, "layout": layout,
    })
}

pub fn nar(codes: usize, layout: Value, positions: usize) -> Value {
    let mut config = decoder(codes, layout, positions);
    config["medusa_attention_num"] = json!(1);
    config
}

pub fn token_shuffle(codes: usize, layout: Value, _positions: usize) -> Value {
    let mut config = json!({
        "text_vocab": 3, "image_vocab": codes, "dim": 16, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1, "ffn_hidden": 24,
        "window": 2, "n_mlp_blocks": 1, "mlp_ratio": 2, "bos_id": 0, "boi_id": 1, "eoi_id": 2, "first_text_id": 3,
        "text_loss_weight": 0.1, "z_loss_weight": 1e-4, "cfg_scale": 2.0, "caption_len": 4,
    });
    let (kind, sides) = layout.as_object().and_then(|layout| layout.iter().next()).unwrap();
    config[kind] = sides.clone();
    config
}

pub fn xar(channels: usize, layout: Value) -> Value {
    let mut config = json!({
        "model_type": "xar", "vae_embed_dim": channels, "encoder_embed_dim": 16, "encoder_depth": 1, "encoder_num_heads": 2,
        "decoder_embed_dim": 16, "decoder_depth": 1, "decoder_num_heads": 2, "num_steps": 2, "class_num": 8, "entity": "patch",
        "most_words": 4, "cfg": 1.5,
    });
    let (kind, sides) = layout.as_object().and_then(|layout| layout.iter().next()).unwrap();
    match kind.as_str() {
        "scales" => (config["token_scales"], config["entity"]) = (sides.clone(), json!("scale")),
        _ => config[kind] = sides.clone(),
    }
    config
}

/// Rows and columns, the tokens of scales, or the length of a line, as architectures write it.
pub fn layout_of(layout: &TokenLayout) -> Value {
    match layout {
        TokenLayout::Grid { height, width } => json!({"grid": [height, width]}),
        TokenLayout::Scales { counts } => json!({"scales": counts}),
        _ => json!({"ordered": layout.positions()}),
    }
}

/// A next-scale generator of captions; its tokenizer says the rest.
pub fn next_scale() -> Value {
    json!({"ar": {"dim": 16, "depth": 1, "heads": 2, "most_words": 4, "cfg": 1.0}})
}
