//! The released SEED tokenizers by name.

use super::{SeedConfig, SeedKind};

/// Names that [`SeedConfig::preset`] knows.
///
/// `seed-2` is AILab-CVC/seed-tokenizer-2 with the ViT of LAVIS, `seed-1` the tokenizer of the repository's branch v1.
pub const PRESETS: [&str; 2] = ["seed-1", "seed-2"];

impl SeedConfig {
    /// The configuration of a released model, or `None` for an unknown name.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "seed-1" => Some(Self::released(SeedKind::Seed1)),
            "seed-2" => Some(Self::released(SeedKind::Seed2)),
            _ => None,
        }
    }
}
