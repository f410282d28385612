//! Generators of token sequences.
//!
//! [`Generator`] is what every one of them offers; [`maskgit`] is the masked generator released with One-D-Piece and
//! TiTok. The autoregressive ones (next token, NAR, xAR, Token-Shuffle) follow.
#![deny(missing_docs)]

mod generator;
pub mod maskgit;

pub use generator::{Condition, GenerateOptions, Generator, GeneratorError, Step};
