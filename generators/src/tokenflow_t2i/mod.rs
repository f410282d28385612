//! TokenFlow's text-to-image generator: a Llama that predicts a whole scale at a time.
//!
//! ```text
//! prompt ids ─embedding─▶ P positions ─┐
//!                                      ├─▶ post-norm blocks ─▶ logits of scale 0, 1, 2 ...
//! pairs of codes of earlier scales ────┘
//!   summed, enlarged to the scale, projected
//! ```
//!
//! The prompt is causal, and its last position stands for the one token of scale 0; within a scale every position sees all of it
//! and everything before. From the second scale on a scale may be sampled several times: each further step reads the codes that
//! the step before found and draws all of them again (paper, section 3.3).
//!
//! Guidance runs a second prompt, usually a negative one, and its scale rises from none at the first scale to the full one at the
//! last. A scale follows tessera's usual meaning, `u + s (c - u)`: the release's `cfg` is `s - 1`.
//!
//! The generator reads pairs of codes, so it needs its tokenizer's codebooks: they are looked for at `mm_vision_tower` of the
//! configuration, or in a file `tokenizer.safetensors` beside it. Prompts are given as ids of the release's text tokenizer
//! ([`Condition::TextIds`](crate::Condition::TextIds), [`pad_prompt`]); tessera has no text tokenizer of its own. A model that tessera
//! trained has a table of the words of its captions instead.
//!
//! Source: Qu et al. 2024 (arXiv 2412.03069), section 3.3, and the released code (folder `t2i`).

mod block;
mod config;
mod decoding;
mod model;
mod network;
mod presets;
mod prompt;
mod strategy;
mod train;

pub use config::{LlmConfig, MOST_WORDS, SamplingConfig, TokenFlowT2iConfig};
pub use decoding::{Greedy, T2iPlan};
pub use model::{IDS, TokenFlowT2i, listing, load, load_with, random};
pub use network::{Past, Segment, TokenFlowT2iNetwork, segments};
pub use presets::{PRESETS, preset};
pub use prompt::{T2iPrompt, pad_prompt};
pub use strategy::Strategy;
pub use train::{Taught, losses};
