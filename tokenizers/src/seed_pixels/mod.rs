//! SEED with a decoder to pixels of its own, small enough to train, in place of Stable Diffusion.
//!
//! ```text
//! tokens ─codebook, task layer─▶ [b, 32, 768] ─places behind a prefix: a learned vector─▶ ─blocks_image─▶ context [b, 32, 768] ─head─▶ pooled [b, 1024]
//! noise and time, or a learned patch ─▶ transformer over [context ; patches], shifted and scaled by time and pooled ─▶ picture
//! ```
//!
//! One codebook, two consumers: SEED's features, which keep their meaning, and pixels. The decoder is either a rectified flow, which
//! is sampled, or one pass ([`PixelKind`]). Since tokens are causal, training shows it prefixes too, so that any prefix decodes.
//! This design is tessera's; no release has it. Its checkpoints hold SEED's tensors and those of `pixel_decoder`.
//!
//! - [`SeedPixelsConfig`]: SEED's configuration under `seed`, the decoder's under `pixels`
//! - [`SeedPixelsNetwork`], [`PixelDecoder`]: the networks
//! - [`train`]: losses of the second stage together with pixels
//! - [`start`]: a decoder at its start on top of a trained SEED

mod block;
mod checkpoint;
mod config;
mod decoder;
mod flow;
mod model;
mod tokenizer;
pub mod train;

pub use block::PixelBlock;
pub use checkpoint::{listing, load, random, random_narrow, start};
pub use config::{PixelConfig, PixelKind, SeedPixelsConfig};
pub use decoder::{PixelCondition, PixelDecoder};
pub use flow::{PixelSampling, sample_pixels};
pub use model::{SeedPixelsNetwork, Shown};
pub use tokenizer::SeedPixels;
