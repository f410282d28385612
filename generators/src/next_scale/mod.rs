//! Next-scale prediction: all tokens of a scale at once, given those of the coarser scales.
//!
//! ```text
//! condition, start ──────────────────────────────────────▶ ┐
//! codes of the scales before s ─sum─Down─▶ [l_s, d] ──────▶ ┴─ blocks under the mask of scales ─▶ logits of the l_s tokens of scale s
//! ```
//!
//! A position sees its own scale in both directions, the coarser ones and the condition; the condition sees itself. Scales are passed
//! once each, over a cache of those before. Guidance grows with the scale.
//!
//! [`decode`] is the loop over scales, for any network that is a [`NextScale`]; [`ScaleNetwork`] is VAT's, on the tokens of a
//! [`ScaleQuantizer`](tessera_tokenizers::quantizers::ScaleQuantizer). TokenFlow's tokens are those of one too
//! ([`Scales::quantizer`](tessera_tokenizers::tokenflow::Scales::quantizer)), so that pictures are made in the same way.
//!
//! Sources: Tian et al. 2024, "Visual Autoregressive Modeling" (arXiv 2404.02905), for next-scale prediction and its sampler;
//! Zhang, Xiong and Xu 2024 (arXiv 2412.02202) for shapes. The latter released no code: sizes and details are tessera's.

mod block;
mod condition;
mod condition_parts;
mod config;
mod decode;
mod model;
mod network;
mod presets;
mod train;

pub use block::ScaleBlock;
pub use condition::{PromptPart, ScalePrompt};
pub use condition_parts::ConditionPart;
pub use config::{ConditionKind, ConditionSizes, NextScaleConfig, ScaleArConfig};
pub use decode::{Choose, NextScale, ScalePlan, decode};
pub use model::{ScaleGenerator, listing, load, random, save};
pub use network::{ScaleNetwork, ScaleState};
pub use presets::{PRESETS, preset};
pub use train::{ScaleLosses, drop_conditions, taught};
