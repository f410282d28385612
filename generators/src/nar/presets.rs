//! Released sizes.

use crate::decoder::{DecoderConfig, ModelType};
use crate::next_token::released;

/// Names that [`preset`] knows, by the side of their pictures in pixels.
pub const PRESETS: [&str; 7] =
    ["nar-b-256", "nar-m-256", "nar-l-256", "nar-xl-256", "nar-xxl-256", "nar-xl-t2i-256", "nar-xl-t2i-512"];

/// The configuration of a released model, or `None` for an unknown name.
pub fn preset(name: &str) -> Option<DecoderConfig> {
    let (size, pixels) = name.strip_prefix("nar-").filter(|_| PRESETS.contains(&name))?.rsplit_once('-')?;
    let (size, kind) = match size.strip_suffix("-t2i") {
        Some(size) => (size, ModelType::Text),
        None => (size, ModelType::Classes),
    };
    let sizes = match size {
        "b" => [768, 12, 12],
        "m" => [1024, 18, 16],
        "l" => [1024, 24, 16],
        "xl" => [1280, 36, 20],
        "xxl" => [1536, 48, 24],
        _ => return None,
    };
    let config = released(sizes, pixels.parse::<usize>().ok()? / 16, kind);
    Some(DecoderConfig { medusa_attention_num: Some(1), ..config })
}
