//! FlexTok's autoregressive generator: the next ordered token, from a class.
//!
//! A GPT-style decoder over a FlexTok's tokens, coarse ones first, so that generation can end after any number of them. Class
//! labels are added to the start token; guidance runs a second sequence without a label.
//!
//! Source: FlexTok (arXiv 2502.13967) section 4; the embedding and decoding of EPFL-VILAB/search-over-tokens at e7564c55 and
//! the trunk of apple/ml-l3m at e6376a30. The configuration of the released checkpoints is not public, so that names of
//! tensors follow that code; text conditions are not built yet.
//!
//! # What passes between generator and tokenizer
//! [`Tokens`](tessera_tokenizers::Tokens) of layout `Ordered { len }`, where `len` is the tokenizer's number of registers,
//! ids below the product of its FSQ levels (the first dimension fastest), depth 1. A sample of `k` tokens keeps the first
//! `k` positions. The generator does not know who will decode, so its fingerprint is zero: the tokenizer judges vocabulary and
//! layout. There is no end token; the caller says how many tokens a sample has.

mod config;
mod model;
mod network;

pub use config::FlexTokArConfig;
pub use model::{FlexTokAr, Greedy, GuidanceForm, listing, load, random};
pub use network::{FlexTokArNetwork, Label};
