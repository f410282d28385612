//! Token-Shuffle: a window of tokens is one position of the trunk.
//!
//! Source: Ma et al. 2025, "Token-Shuffle: Towards High-Resolution Image Generation with Autoregressive Models" (arXiv 2504.17789). No
//! code or weights were released: what the paper leaves open is tessera's choice and marked so in [`TokenShuffleConfig`].
//!
//! ```text
//! s x s ids ─▶ embeddings ─▶ compress d → d/s² ─▶ side by side: d ─▶ MLP blocks ─▶ one position
//! one state ─▶ MLP blocks ─▶ s² pieces ─▶ expand d/s² → d ─▶ norm ─▶ output ─▶ s² ids
//! ```
//!
//! Generalised here to windows of any side, any grid that they tile, and lines and scales, where a window is a run of tokens.

mod config;
mod model;
mod network;
mod presets;
mod train;
mod windows;

pub use config::TokenShuffleConfig;
pub use model::{Greedy, TokenShuffle, listing, load, random};
pub use network::TokenShuffleNetwork;
pub use presets::{PRESETS, preset};
pub use train::{Taught, TaughtLosses, losses, teach};
pub use windows::Windows;
