//! The decoder-only transformer that next-token prediction and NAR share.
//!
//! A Llama-style trunk (RMS norms, SwiGLU, rotary positions, grouped keys and values) over condition positions and tokens in
//! the order in which they are decoded ([`Order`]). Since that order is the sequence's own, a mask is always "the first so many
//! keys", and one cache that only ever grows serves every generator.
//!
//! ```text
//! class or caption ─▶ condition positions ┐
//! tokens in decoding order ───────────────┴▶ blocks ─▶ norm ─▶ output            (token to the right)
//!                                               └▶ extra blocks ─▶ norm ─▶ output (token below; NAR)
//! ```

mod block;
mod condition;
mod config;
mod generate;
mod model;
mod network;
mod order;
mod padding;
mod train;

pub use block::{BlockSizes, DecoderBlock, Sight, repeat_heads};
pub use condition::{Captions, ConditionEmbedding, Prompt, Table};
pub use config::{Arrangement, DecoderConfig, ModelType};
pub use generate::{Greedy, Plan};
pub use model::{DecoderGenerator, IGNORED, listing, load, random};
pub use network::{Decoder, States};
pub use order::{Order, Sources};
pub use padding::Padding;
pub use train::{Taught, taught};
