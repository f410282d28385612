//! One-D-Piece and TiTok: pictures as one-dimensional tokens, decodable from any prefix (One-D-Piece).
//!
//! Papers: "One-D-Piece: Image Tokenizer Meets Quality-Controllable Compression" (arXiv 2501.10064) and TiTok, "An
//! Image is Worth 32 Tokens for Reconstruction and Generation" (arXiv 2406.07550). One-D-Piece is TiTok trained with
//! tail token drop, so that information gathers at the front.
//!
//! ```text
//! image ─patches─┐                                     mask tokens ─┐
//! latent tokens ─┴▶ ViT encoder ─▶ last N ─▶ T channels ─▶ codes ─▶ ViT decoder ─▶ logits over proxy codes
//!                                                                                   │ softmax x proxy codebook
//!                                                    image ◀─ MaskGIT-VQGAN decoder ◀┘   (two-stage, released)
//!                                                    image ◀─ patches ◀─ ViT decoder      (single stage, vq8k)
//! ```
//!
//! Supported: the legacy two-stage models (One-D-Piece-S/B/L-256, TiTok-L-32, B-64, S-128), the single-stage models
//! (TiTok-BL-64, BL-128, SL-256 vq8k), l2-normalised and plain codebooks, stage-1 checkpoints (logits only), training
//! losses of both stages. Not supported: the VAE variants (`quantize_mode: vae`), refused by name.

mod checkpoint;
mod config;
mod decoder;
mod encoder;
mod model;
mod presets;
mod tokenizer;
pub mod train;

pub use checkpoint::{listing, load, random, random_narrow, save};
pub use config::{Family, LatentMix, OneDPieceConfig, Tower};
pub use decoder::{Decoded, TitokDecoder};
pub use encoder::TitokEncoder;
pub use model::OneDPieceNetwork;
pub use presets::PRESETS;
pub use tokenizer::OneDPiece;
