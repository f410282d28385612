//! Generators of token sequences.
//!
//! [`Generator`] is what every one of them offers; [`maskgit`] is the masked generator released with One-D-Piece and
//! TiTok, [`flextok_ar`] FlexTok's own over ordered tokens.
#![deny(missing_docs)]

mod cache;
pub mod flextok_ar;
mod generator;
mod guidance;
pub mod maskgit;
mod model_config;
pub mod sampling;
mod words;

pub use cache::KeyValueCache;
pub use generator::{
    Condition, Content, GenerateOptions, Generated, Generator, GeneratorError, GeneratorInfo, Given, Step,
};
pub use guidance::GuidanceSchedule;
pub use model_config::{GeneratorConfig, from_pretrained};
pub use sampling::Sampling;
pub use words::Words;
