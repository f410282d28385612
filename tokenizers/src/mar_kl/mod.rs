//! MAR's KL autoencoder (KL-16): the latents that xAR generates.
//!
//! The convolutional networks of [`autoencoder_kl`](crate::autoencoder_kl) under the names of latent diffusion's first release, with
//! attention at the coarsest level of the encoder. Pictures are in -1..=1. Source: Li et al. 2024 (arXiv 2406.11838), released with MAR
//! and xAR.

mod checkpoint;
mod config;
mod model;

pub(crate) use checkpoint::open;
pub use checkpoint::{listing, load, random};
pub use config::{MarKlConfig, PRESET};
pub use model::MarKl;
