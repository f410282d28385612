//! VAT: shapes in a few hundred bytes. A variational tokenizer from surface points to tokens of growing scales, and from them to an
//! occupancy field.
//!
//! ```text
//! points [b, n, 3], normals ─Fourier features─┐
//!                                             ├─encoder─▶ first L positions ─▶ mu, logvar ─▶ z [b, L, d]
//!                             latents [L, D] ─┘
//! z ─residual quantizer over scales─▶ ids, coarse to fine; running sums z_hat [b, L, d]
//! z_hat ─┐
//!        ├─decoder─▶ last 3 r r positions ─▶ three planes [b, 3, E, r, r] ─convolutions─▶ [b, 3, C, R, R]
//! planes ┘
//! a point ─bilinear on each plane─▶ 3 C features ─MLP─▶ logit; inside is a logit from 0 on
//! ```
//!
//! The sum after any scale decodes, to a coarser shape; so does a file that was cut off. [`VatConfig::preset`] has the sizes; `vat-512b` holds a shape in 511 bytes.
//!
//! Source: Zhang, Xiong and Xu 2024, "3D representation in 512-Byte: Variational tokenizer is the key for autoregressive 3D
//! generation" (arXiv 2412.02202). No code and no weights were ever released. The structure is the paper's; sizes that it does not
//! state, the layout of checkpoints, the resampling of scales and the packing of bits are tessera's.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use tessera_tokenizers::{DecodeOptions, Input, ModelConfig, Output, vat::VatConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = VatConfig::preset("vat-512b").ok_or("no such preset")?;
//! config.num_latents = 4; // small, to run in a moment
//! config.quantizer.scales = vec![1, 2, 4];
//! (config.encoder.dim, config.encoder.depth) = (16, 1);
//! (config.decoder.dim, config.decoder.depth, config.decoder.plane_tokens) = (16, 1, 2);
//! (config.triplane.channels, config.triplane.norm_groups) = (vec![8, 8], 4);
//! let tokenizer = ModelConfig::Vat(config).random(0, &Device::flex())?;
//!
//! let points = Tensor::<3>::ones([1, 20, 3], &Device::flex()).mul_scalar(0.5);
//! let tokens = tokenizer.encode(&Input::Points { normals: Some(points.clone()), points })?;
//! assert_eq!(tokens.positions(), 1 + 2 + 4);
//! let coarse = tokenizer.decode(&tokens, &DecodeOptions::prefix(1 + 2))?;
//! let Output::Field(field) = coarse else { return Err("no field".into()) };
//! assert_eq!(field.evaluate(0, &[[0.0, 0.1, 0.2]])?.len(), 1);
//! # Ok(())
//! # }
//! ```

mod checkpoint;
mod config;
mod decoder;
mod descent;
mod encoder;
mod field;
mod model;
mod occupancy;
mod planes;
mod points;
mod presets;
mod refine;
mod start;
mod tokenizer;
mod train;

pub use checkpoint::{listing, load, random, save};
pub use config::{LossConfig, OccupancyConfig, PlaneTowerConfig, PointsConfig, TowerConfig, TriplaneConfig, VatConfig};
pub use decoder::VatDecoder;
pub use descent::LatentDescent;
pub use encoder::{Moments, VatEncoder};
pub use field::OccupancyField;
pub use model::VatNetwork;
pub use occupancy::Occupancy;
pub use planes::PlaneUpsampler;
pub use points::point_features;
pub use presets::PRESETS;
pub use refine::RefineOptions;
pub use tokenizer::Vat;
pub use train::{SearchLosses, Supervision, VatLosses, VatStage, binary_cross_entropy, losses, search_losses};
