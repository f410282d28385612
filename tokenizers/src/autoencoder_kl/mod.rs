//! KL autoencoder: pictures to continuous latents and back, in diffusers' `AutoencoderKL` layout.
//!
//! ```text
//! image [b, 3, H, W] ─encoder, quant_conv─▶ mean ++ logvar [b, 2c, H/f, W/f] ─sample or mean─▶ latents [b, c, H/f, W/f]
//! latents ─post_quant_conv, decoder─▶ image
//! ```
//!
//! Pictures are in -1..=1. Latents carry no scaling factor here: whoever trains on them multiplies, and divides before
//! decoding. Behind FlexTok, and released alone with 4, 8 and 16 channels. It makes no tokens, so it is no
//! [`Tokenizer`](crate::Tokenizer).
//!
//! Source: Kingma and Welling 2014, "Auto-Encoding Variational Bayes"; Rombach et al. 2022, "High-Resolution Image
//! Synthesis with Latent Diffusion Models".

mod checkpoint;
mod config;
mod model;
mod posterior;
mod presets;

pub(crate) use checkpoint::open;
pub use checkpoint::{current_name, from_pretrained, listing, load, random, save};
pub use config::AutoencoderKlConfig;
pub use model::AutoencoderKl;
pub use posterior::Posterior;
pub use presets::{PRESETS, flextok};
