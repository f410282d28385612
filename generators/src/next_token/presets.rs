//! Released sizes.

use tessera_layers::checkpoint::{TensorEntry, differences};
use tessera_layers::params::entries;

use crate::decoder::{DecoderConfig, ModelType, listing};
use crate::nar;

/// Names that [`preset`] knows: LlamaGen's released models, by the side of their pictures in pixels.
pub const PRESETS: [&str; 10] = [
    "llamagen-b-256",
    "llamagen-b-384",
    "llamagen-l-256",
    "llamagen-l-384",
    "llamagen-xl-384",
    "llamagen-xxl-384",
    "llamagen-3b-384",
    "llamagen-xl-t2i-256",
    "llamagen-xl-t2i-512",
    "llamagen-xl-256",
];

/// The configuration of a released model, or `None` for an unknown name.
pub fn preset(name: &str) -> Option<DecoderConfig> {
    let (size, pixels) = name.strip_prefix("llamagen-").filter(|_| PRESETS.contains(&name))?.rsplit_once('-')?;
    let (size, kind) = match size.strip_suffix("-t2i") {
        Some(size) => (size, ModelType::Text),
        None => (size, ModelType::Classes),
    };
    let sizes = match size {
        "b" => [768, 12, 12],
        "l" => [1024, 24, 16],
        "xl" => [1280, 36, 20],
        "xxl" => [1536, 48, 24],
        "3b" => [3200, 24, 32],
        _ => return None,
    };
    Some(released(sizes, pixels.parse::<usize>().ok()? / 16, kind))
}

/// A released configuration of `[channels, blocks, heads]` on a square grid.
pub(crate) fn released([dim, n_layer, n_head]: [usize; 3], side: usize, model_type: ModelType) -> DecoderConfig {
    DecoderConfig {
        dim,
        n_layer,
        n_head,
        n_kv_head: None,
        multiple_of: 256,
        ffn_dim_multiplier: None,
        rope_base: 10_000.0,
        norm_eps: 1e-5,
        initializer_range: 0.02,
        model_type,
        num_classes: 1000,
        caption_dim: 2048,
        cls_token_num: if model_type == ModelType::Text { 120 } else { 1 },
        vocab_size: 16_384,
        block_size: side * side,
        medusa_attention_num: None,
        words: None,
        layout: None,
        sampling: None,
        turns: None,
        guidance_scale: None,
        guidance_schedule: crate::GuidanceSchedule::Constant,
        tokenizer: None,
    }
}

/// The released LlamaGen or NAR whose tensors these are, names and shapes, if there is one. Sizes of pictures share their
/// tensors: the first name stands for all.
pub fn release_of(found: &[TensorEntry]) -> Option<&'static str> {
    let presets = PRESETS.into_iter().zip(PRESETS.map(preset));
    presets.chain(nar::PRESETS.into_iter().zip(nar::PRESETS.map(nar::preset))).find_map(|(name, config)| {
        let specs = listing(&config?).ok()?;
        differences(&entries(&specs), found).is_none().then_some(name)
    })
}
