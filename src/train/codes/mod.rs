//! Data sets as a tokenizer's output, encoded once and kept on disk: what generators learn from.
//!
//! ```text
//! FOLDER/codes.json      what is encoded: sources, seed, tokenizer, number of items
//!        00000.tsr       ids of 1,024 items (of latents: 00000.safetensors)
//!        00000.json      their captions and classes
//! ```
//!
//! Item `i` is the loader's sample at position `i`, mirrored or cropped as chance has it there, so several passes over the
//! sources ("views") hold different crops. A shard appears whole or not at all, and an encoding that was stopped goes on with
//! the first shard that is missing.

mod batch;
mod cache;
mod feed;
mod shard;

pub use batch::{CodeBatch, CodeValues, Codes};
pub use cache::CodeCache;
pub use feed::{CodeFeed, Dropping};
pub(super) use shard::Described;
