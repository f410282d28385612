//! FlexTok: 1 to 256 ordered tokens with a rectified-flow decoder.
//!
//! Bachmann et al. 2025, "FlexTok: Resampling Images into 1D Token Sequences of Flexible Length" (arXiv 2502.13967).
//!
//! ```text
//! picture ─▶ VAE ─▶ latents ─▶ patches ─┐
//!                           registers ──┴▶ transformer (register r sees patches and registers 0..=r) ─▶ FSQ ─▶ tokens
//!
//! tokens 0..k ─▶ codes ─▶ registers (k.. masked) ─┐
//!                      noised latents ─▶ patches ─┴▶ transformer (adaLN of time) ─▶ velocity ─▶ Euler steps ─▶ VAE ─▶ picture
//! ```
//!
//! Any prefix decodes: few tokens leave open what the picture shows in detail, and each seed is another answer.
//!
//! Supported: the released d12-d12, d18-d18 and d18-d28 tokenizers with their configuration in the weights' metadata, any
//! rectangular size up to the model's, guidance plain or projected with a number or a schedule, lengths that differ inside a
//! batch, training with nested dropout. Not built: interpolated positions, and the cross-attention decoder that no release
//! has.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use tessera_tokenizers::flextok::{FlexTokConfig, Guidance, LatentConfig, random};
//! use tessera_tokenizers::patch_dct::PatchDctConfig;
//! use tessera_tokenizers::{DecodeOptions, Input, Tokenizer as _};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = FlexTokConfig::preset("flextok-d12-d12").ok_or("no such preset")?;
//! for trunk in [&mut config.encoder, &mut config.decoder] {
//!     (trunk.dim, trunk.depth, trunk.max_sizes) = (64, 1, [2, 2]); // small, to run in a moment
//! }
//! config.vae.architecture = LatentConfig::PatchDct(PatchDctConfig::new(8, 12, 2));
//! let tokenizer = random(&config, 0, &Device::flex())?; // or `tessera_tokenizers::from_pretrained(path, &device)?`
//!
//! let tokens = tokenizer.encode(&Input::Images(Tensor::zeros([1, 3, 32, 32], &Device::flex())))?;
//! let mut options = DecodeOptions::prefix(4);
//! (options.flow.steps, options.flow.guidance) = (Some(2), Some(Guidance::Constant(3.0)));
//! let picture = tokenizer.decode(&tokens, &options)?.into_images();
//! assert_eq!(picture.map(|picture| picture.dims()), Some([1, 3, 32, 32]));
//! # Ok(())
//! # }
//! ```

mod alignment;
mod block;
mod checkpoint;
mod config;
mod decoder;
mod document;
mod encoder;
mod flow;
mod model;
mod patches;
mod presets;
mod section;
mod targets;
mod tokenizer;
pub mod train;

pub use alignment::AlignmentHead;
pub use block::FlexBlock;
pub use checkpoint::{config_in, listing, load, metadata, random, resolve_vae, save};
pub use config::{
    FlexTokConfig, KeepSampling, LatentConfig, MupReadout, NoiseConfig, RegisterMix, SamplingConfig, TrunkConfig,
    VaeConfig,
};
pub use decoder::{Condition, FlexDecoder, Modulation, Registers};
pub(crate) use decoder::{blend, sinusoids};
pub use encoder::FlexEncoder;
pub use flow::{FlowSampling, FlowStep, Guidance, flow_noise, sample_flow};
pub use model::FlexTokNetwork;
pub use presets::PRESETS;
pub use tokenizer::{FlexTok, PosteriorChoice};
