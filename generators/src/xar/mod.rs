//! xAR: the next entity of latents, by solving a flow.
//!
//! Source: Ren et al. 2025, "Beyond Next-Token: Next-X Prediction for Autoregressive Visual Generation" (arXiv 2502.20388), and its
//! released code, which has one sort of entity, cells of 8x8 on a 16x16 grid. The other sorts follow the paper's Algorithm 1: latents
//! one by one, cells of any size, subsamples, scales, the whole picture.
//!
//! ```text
//! noise of entity k ─┐                         ┌─▶ velocity ─▶ one solver step ─▶ ... ─▶ entity k, clean
//! entities before k ─┴▶ two stacks of blocks ──┘       (class and time through adaptive norms)
//! ```
//!
//! There are no ids and no start token; latents are those of an autoencoder, scaled.

mod block;
mod config;
mod entities;
mod model;
mod network;
mod presets;
mod sampling;
mod train;

pub use block::XarBlock;
pub use config::{Sides, XarConfig};
pub use entities::{Entities, EntityKind};
pub use model::{Xar, buffers, listing, load, random};
pub use network::{XarNetwork, XarPrompt, thousandths};
pub use presets::{PRESETS, preset};
pub use sampling::{Listener, Noise, SeededNoise, Seen, Solver, XarPlan, sample, scales, times};
pub use train::{XarDraws, XarLoss, draw, drop_prompts, loss};
