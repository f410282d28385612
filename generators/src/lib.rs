//! Generators of token sequences.
//!
//! [`Generator`] is what every one of them offers, [`from_pretrained`] opens any of them.
//!
//! | generator | module | one step decodes |
//! |---|---|---|
//! | next-token (LlamaGen) | [`next_token`] | a token |
//! | NAR | [`nar`] | an anti-diagonal of a grid |
//! | Token-Shuffle | [`token_shuffle`] | a window of tokens |
//! | next-scale (VAT) | [`next_scale`] | a scale of tokens |
//! | xAR | [`xar`] | an entity of latents, by solving a flow |
//! | TokenFlow's | [`tokenflow_t2i`] | a scale, several times over if asked for |
//! | MaskGIT | [`maskgit`] | the tokens it is surest of |
//! | FlexTok's own | [`flextok_ar`] | an ordered token |
#![deny(missing_docs)]

mod cache;
pub mod decoder;
pub mod flextok_ar;
mod generator;
mod guidance;
mod kept;
pub mod maskgit;
mod model_config;
pub mod nar;
pub mod next_scale;
pub mod next_token;
pub mod sampling;
mod subjects;
mod token_loss;
pub mod token_shuffle;
pub mod tokenflow_t2i;
mod turns;
mod words;
pub mod xar;

pub use cache::KeyValueCache;
pub use generator::{
    Condition, Content, GenerateOptions, Generated, Generator, GeneratorError, GeneratorInfo, Given, Step,
};
pub use guidance::GuidanceSchedule;
pub use model_config::{GeneratorConfig, from_pretrained};
pub use sampling::Sampling;
pub use token_loss::{TokenLosses, token_losses};
pub use turns::Turns;
pub use words::Words;
