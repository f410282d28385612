//! NAR: the next neighbours, an anti-diagonal of the grid at a time.
//!
//! Source: He et al. 2025, "Neighboring Autoregressive Modeling for Efficient Visual Generation" (arXiv 2503.10696), and its released
//! code: LlamaGen's decoder with a second head, behind blocks of its own, that predicts the token below. A `height x width` grid takes
//! `height + width - 1` passes. The sequence is kept in the order of decoding, so that a token sees everything up to the end of its own
//! diagonal and the cache only grows.
//!
//! Generalised here to any grid, and to a line, where it is next-token prediction with a head that is never asked.

mod presets;

pub use crate::decoder::{DecoderConfig, DecoderGenerator, listing, load, random};
pub use presets::{PRESETS, preset};
