//! Tensors of published files that a tokenizer does not need. All others that a model does not know are errors.

use std::collections::BTreeSet;

use tessera_layers::ParamSpec;
use tessera_layers::checkpoint::TensorEntry;

use super::config::EncoderConfig;

/// The tensors of a file without those that published files are known to carry beside a model's own.
pub(crate) fn without_surplus(
    specs: &[ParamSpec],
    encoder: &EncoderConfig,
    found: impl IntoIterator<Item = TensorEntry>,
) -> Vec<TensorEntry> {
    let needed: BTreeSet<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let modules: BTreeSet<&str> = needed.iter().filter_map(|name| name.split('.').next()).collect();
    let stays = |entry: &TensorEntry| {
        needed.contains(entry.name.as_str())
            || !is_known_surplus(&entry.name, encoder, &|module| modules.contains(module))
    };
    found.into_iter().filter(stays).collect()
}

/// Whether a tensor that a model does not need is one that published files may carry all the same:
///
/// - the buffers `position_ids` of every Q-Former;
/// - the text half of the Q-Former, its word predictor `cls`, and the heads of the first training stage (`vision_proj`,
///   `text_proj`, `itm_head`, `temp`): the released SEED-2 has 146 tensors more than its class, these among them;
/// - whole decoders and heads that another of SEED's published networks has (`blocks`, `blocks_image`, `blocks_text`,
///   `Reverse_Qformer`, `Reverse_Qformer_text`, `image_down`, projections, positions), if the model has none of that name: a
///   decoder of another depth stays an error;
/// - the one block more that EVA's ViT has, and its last normalisation and head.
///
/// `has_module` says whether the model has tensors whose names begin with this word.
pub fn is_known_surplus(name: &str, encoder: &EncoderConfig, has_module: &dyn Fn(&str) -> bool) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    match parts.as_slice() {
        ["Qformer" | "Reverse_Qformer" | "Reverse_Qformer_text", "bert", "embeddings", "position_ids"] => true,
        ["Qformer", "bert", "embeddings", "word_embeddings" | "position_embeddings", "weight"] => true,
        ["Qformer", "bert", "encoder", "layer", layer, rest @ ..] => {
            number(layer).is_some_and(|layer| layer < encoder.qformer.num_hidden_layers) && is_feed_forward(rest, "")
        }
        ["Qformer", "cls", "predictions", "bias"] => true,
        ["Qformer", "cls", "predictions", "decoder", kind] => is_linear(kind),
        ["Qformer", "cls", "predictions", "transform", "dense" | "LayerNorm", kind] => is_linear(kind),
        ["vision_proj" | "text_proj" | "itm_head", kind] => is_linear(kind),
        ["temp"] => true,
        ["visual_encoder", "blocks", block, rest @ ..] => number(block) == Some(encoder.vit.depth) && is_block(rest),
        ["visual_encoder", "norm" | "fc_norm" | "head", kind] => is_linear(kind),
        [module, ..] if has_module(module) => false,
        ["pos_embed" | "pos_embed_image" | "pos_embed_text" | "reverse_tokens" | "reverse_tokens_text"] => true,
        ["distill_image_proj" | "distill_text_proj", kind] => is_linear(kind),
        ["image_down", layer, "weight"] => number(layer).is_some(),
        ["blocks" | "blocks_image" | "blocks_text", block, rest @ ..] => number(block).is_some() && is_block(rest),
        ["Reverse_Qformer" | "Reverse_Qformer_text", "bert", "embeddings", "LayerNorm", kind] => is_linear(kind),
        ["Reverse_Qformer" | "Reverse_Qformer_text", "bert", "encoder", "layer", layer, rest @ ..] => {
            number(layer).is_some() && (is_feed_forward(rest, "_query") || is_attention(rest))
        }
        _ => false,
    }
}

fn number(text: &str) -> Option<usize> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn is_linear(kind: &str) -> bool {
    matches!(kind, "weight" | "bias")
}

fn is_block(rest: &[&str]) -> bool {
    match rest {
        ["norm1" | "norm2", kind] => is_linear(kind),
        ["attn", "qkv" | "proj", kind] | ["mlp", "fc1" | "fc2", kind] => is_linear(kind),
        ["attn", "q_bias" | "v_bias"] => true,
        _ => false,
    }
}

fn is_feed_forward(rest: &[&str], half: &str) -> bool {
    let [module, layer, kind] = rest else { return false };
    match module.strip_suffix(half) {
        Some("intermediate") => *layer == "dense" && is_linear(kind),
        Some("output") => matches!(*layer, "dense" | "LayerNorm") && is_linear(kind),
        _ => false,
    }
}

fn is_attention(rest: &[&str]) -> bool {
    match rest {
        ["attention" | "crossattention", "self", "query" | "key" | "value", kind] => is_linear(kind),
        ["attention" | "crossattention", "output", "dense" | "LayerNorm", kind] => is_linear(kind),
        _ => false,
    }
}
