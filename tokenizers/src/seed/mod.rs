//! SEED and SEED-2: pictures as 32 causal tokens of high-level content, for language models.
//!
//! ```text
//! image [b, 3, 224, 224] ─ViT─▶ [b, 257, 1408] ─ln_vision─▶ ─causal Q-Former─▶ causal embeddings [b, 32, 768]
//!     ─task layer─▶ [b, 32, 32] ─nearest code─▶ tokens [b, 32]
//! tokens ─codebook, task layer─▶ [b, 32, 768] ─blocks─▶ ─head─▶ [b, 1, 1024] (SEED-2) or [b, 77, 768] (SEED-1)
//! ```
//!
//! Token `i` depends on the picture and on queries up to `i` alone. Decoding makes **no picture**: SEED-2's features imitate the
//! image embedding of CLIP ViT-H, and become with [`UnclipCondition`] what the U-Net of Stable Diffusion 2.1 unCLIP takes; SEED-1's
//! imitate the text encoder of CLIP ViT-L, which conditions Stable Diffusion 1. Those diffusion models are not part of
//! tessera; [`Tokenizer::decode`](crate::Tokenizer::decode) gives [`Output::Features`](crate::Output::Features).
//!
//! Sources: Ge et al. 2023, "Planting a SEED of Vision in Large Language Model" (arXiv 2307.08041), and "Making LLaMA SEE and Draw
//! with SEED Tokenizer" (arXiv 2310.01218); released code of AILab-CVC/SEED.
//!
//! - [`SeedConfig`], [`ContrastiveConfig`]: sizes; absent keys are the release's
//! - [`SeedEncoder`] (ViT, causal Q-Former), [`SeedCodec`] (task layers, codebook, decoders), [`SeedNetwork`] (both)
//! - [`train`]: losses of both stages of training
//! - [`VisualVocabulary`]: tokens as ids and strings of a language model
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use tessera_tokenizers::seed::{SeedConfig, VisualVocabulary};
//! use tessera_tokenizers::{DecodeOptions, Input, ModelConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = SeedConfig::preset("seed-2").ok_or("no such preset")?; // the released sizes, made small here
//! let (vit, qformer) = (&mut config.encoder.vit, &mut config.encoder.qformer);
//! (vit.img_size, vit.embed_dim, vit.depth, vit.num_heads) = (28, 16, 1, 2);
//! (qformer.hidden_size, qformer.num_hidden_layers, qformer.intermediate_size, qformer.encoder_width) = (24, 2, 24, 16);
//! let tokenizer = ModelConfig::Seed(config).random(0, &Device::flex())?; // or `from_pretrained(folder, &device)?`
//!
//! let tokens = tokenizer.encode(&Input::Images(Tensor::zeros([1, 3, 28, 28], &Device::flex())))?;
//! let words = VisualVocabulary::llama(8192, 32).text(tokens.ids())?;
//! assert!(words.starts_with("<img><img_") && words.ends_with("></img>"));
//! let features = tokenizer.decode(&tokens, &DecodeOptions::default())?.into_features();
//! assert_eq!(features.map(|features| features.dims()), Some([1, 1, 1024]));
//! # Ok(())
//! # }
//! ```

mod attention;
mod block;
mod checkpoint;
mod codec;
mod config;
mod contrastive;
mod contrastive_config;
mod encoder;
mod eva_vit;
mod head;
mod positions;
mod presets;
mod qformer;
mod qformer_layer;
mod sizes;
mod surplus;
mod task_layer;
mod tokenizer;
pub mod train;
mod unclip;
mod vocabulary;
mod vocabulary_error;

pub use block::{Block, BlockSizes};
pub use checkpoint::{ENCODER, listing, load, load_contrastive, load_network, random, save};
pub(crate) use checkpoint::{load_known, rows};
pub use codec::{DecoderStack, SeedCodec, SeedNetwork};
pub use config::{EncoderConfig, SeedConfig, SeedKind};
pub use contrastive::SeedContrastive;
pub use contrastive_config::ContrastiveConfig;
pub use encoder::SeedEncoder;
pub use eva_vit::EvaVit;
pub use head::{FeatureHead, HeadKind};
pub use positions::resize_positions;
pub use presets::PRESETS;
pub use qformer::{Joint, Qformer, padding_weights};
pub use sizes::{LossWeights, Mix, QformerConfig, ReverseConfig, VitConfig};
pub(crate) use sizes::{divides, scaled, within};
pub use surplus::is_known_surplus;
pub(crate) use surplus::without_surplus;
pub use task_layer::TaskLayer;
pub use tokenizer::{Seed, normalise};
pub(crate) use tokenizer::{embed, encode, item_vectors};
pub use unclip::{UnclipCondition, UnclipError};
pub use vocabulary::{PlacedPicture, VisualVocabulary};
pub use vocabulary_error::VocabularyError;
