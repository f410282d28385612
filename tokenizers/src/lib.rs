//! Tokenizers: pictures, and shapes, to tokens and back.
//!
//! [`from_pretrained`] opens any of them as a [`Tokenizer`], [`LatentCodec`] an autoencoder of continuous latents, [`Pretrained`]
//! whichever it is; [`ModelConfig`] knows every architecture and every released
//! configuration by name.
//!
//! | architecture | module | tokens |
//! |---|---|---|
//! | One-D-Piece, TiTok | [`one_d_piece`] | ordered; any prefix decodes (One-D-Piece) |
//! | FlexTok | [`flextok`] | ordered; any prefix decodes, by sampling a flow |
//! | MaskGIT-VQGAN | [`maskgit_vqgan`] | grid, pictures of any multiple of its patch |
//! | LlamaGen VQ | [`llamagen_vq`] | grid, pictures of any multiple of its patch |
//! | VAT | [`vat`] | scales of surface points; any prefix decodes, to an occupancy field |
//! | SEED, SEED-2 | [`seed`] | ordered and causal; decodes to features, not to pictures |
//! | SEED with pixels | [`seed_pixels`] | SEED's; any prefix decodes, to small pictures |
//! | TokenFlow | [`tokenflow`] | scales; the first so many decode |
//! | DualToken | [`dualtoken`] | grid, several codes to a position: pixel codes, then semantic ones |
//! | MAR's KL-16 | [`mar_kl`] | none: continuous latents, for xAR |
//! | KL autoencoder | [`autoencoder_kl`] | none: continuous latents, which other tokenizers are built on |
//! | patches' DCT | [`patch_dct`] | none: continuous latents of a fixed transform |
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use tessera_tokenizers::{DecodeOptions, Input, ModelConfig, one_d_piece::OneDPieceConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = OneDPieceConfig::preset("one-d-piece-s-256").ok_or("no such preset")?;
//! (config.vit_enc_width, config.vit_enc_layers) = (Some(64), Some(1)); // small, to run in a moment
//! (config.vit_dec_width, config.vit_dec_layers) = (Some(64), Some(1));
//! (config.crop_size, config.num_latent_tokens) = (32, 16);
//! let tokenizer = ModelConfig::OneDPiece(config).random(0, &Device::flex())?; // or `from_pretrained(path, &device)?`
//!
//! let image = Tensor::<4>::zeros([1, 3, 32, 32], &Device::flex());
//! let tokens = tokenizer.encode(&Input::Images(image))?;
//! assert_eq!((tokens.positions(), tokens.vocab()), (16, [4096].as_slice()));
//! let picture = tokenizer.decode(&tokens, &DecodeOptions::prefix(4))?.into_images();
//! assert_eq!(picture.map(|picture| picture.dims()), Some([1, 3, 32, 32]));
//! # Ok(())
//! # }
//! ```
#![deny(missing_docs)]

pub mod adversarial;
pub mod autoencoder_kl;
pub mod bitstream;
mod config;
mod dct;
pub mod dualtoken;
pub mod flextok;
pub mod grid;
mod latent_codec;
pub mod llamagen_vq;
mod load_error;
pub mod mar_kl;
pub mod maskgit_vqgan;
mod model_config;
mod narrow;
pub mod one_d_piece;
pub mod patch_dct;
mod pretrained;
pub mod quantizers;
pub mod seed;
pub mod seed_pixels;
mod tensors;
pub mod token_file;
pub mod tokenflow;
mod tokenizer;
mod tokens;
mod unrolled;
pub mod vat;

pub use bitstream::{TokenFileError, read_tsr, write_tsr};
pub use config::ConfigError;
pub use latent_codec::{LatentCodec, LatentInfo, LatentNetwork, Pretrained};
pub use load_error::LoadError;
pub use model_config::ModelConfig;
pub use pretrained::{config_of, from_files, from_pretrained};
pub use token_file::{Cut, PictureInfo, TokenFile, load_tokens, save_tokens};
pub use tokenizer::{
    DecodeOptions, FlowOptions, Input, InputKind, Latents, Output, ResizeFilter, Tokenizer, TokenizerError,
    TokenizerInfo,
};
pub use tokens::{Fingerprint, TokenLayout, Tokens, TokensError, id_bits};
