//! Next-token prediction: LlamaGen.
//!
//! Source: Sun et al. 2024, "Autoregressive Model Beats Diffusion: Llama for Scalable Image Generation" (arXiv 2406.06525), and its
//! released code: a Llama-style decoder over the tokens of a grid row by row, from a class or from features of a caption. Beside
//! that, our configuration keys `layout` (tokens in a line, or a grid that is no square) and `words` (captions through a table of
//! words) serve every tokenizer and small models; see [`DecoderConfig`].
//!
//! A line's tokens and its condition positions have rotary positions on one line; a grid's are the released ones, by row and column,
//! with condition positions that are turned to zeros.

mod presets;

pub use crate::decoder::{DecoderConfig, DecoderGenerator, listing, load, random};
pub(crate) use presets::released;
pub use presets::{PRESETS, preset, release_of};
