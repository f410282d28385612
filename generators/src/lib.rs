//! Generators of token sequences.
//!
//! [`Generator`] is what every one of them offers; [`maskgit`] is the masked generator released with One-D-Piece and
//! TiTok, [`flextok_ar`] FlexTok's own over ordered tokens. The autoregressive ones (next token, NAR, xAR, Token-Shuffle)
//! follow.
#![deny(missing_docs)]

mod cache;
pub mod flextok_ar;
mod generator;
pub mod maskgit;

pub use cache::KeyValueCache;
pub use generator::{Condition, GenerateOptions, Generator, GeneratorError, Step};
