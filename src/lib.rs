//! tessera turns pictures and shapes into few tokens, tokens back into them, and generates new ones, on any GPU through WGSL and on a
//! plain CPU.
//!
//! | task | start at |
//! |---|---|
//! | open a model | [`from_pretrained`], [`default_tokenizer`] |
//! | picture file to tokens and back | [`encode_picture`], [`decode_tokens`] |
//! | mesh to tokens and back | [`encode_shape`], [`decode_shape`] |
//! | tensors to tokens and back | the [`Tokenizer`] trait |
//! | generate tokens or latents | the [`Generator`] trait, [`default_generator`], [`default_shape_generator`], [`generators::from_pretrained`] |
//! | a generator's output to pictures, pictures to complete | [`Codec`], [`given_part`] |
//! | token files | [`tokenizers::token_file`], [`tokenizers::bitstream`] |
//! | train a tokenizer or a generator | [`train`](mod@train) |
//! | how good is a model? | [`eval`] |
//! | how alike are pictures, or sets of them? | [`perceptual_net`], [`layers::perceptual`], [`eval`] |
//! | does this GPU compute right? | [`verify`] |
//! | the crates themselves | [`datasets`], [`tokenizers`], [`generators`], [`layers`], [`shaders`] |
//!
//! ```
//! use tessera::{DecodeOptions, Framing, datasets::Picture, decode_tokens, default_tokenizer, encode_picture};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = burn::tensor::Device::flex(); // or `"gpu".parse::<DeviceChoice>()?.open()?`
//! let tokenizer = default_tokenizer(&device)?; // or `from_pretrained("folder or file", &device)?`
//! let picture = Picture::filled(96, 64, [200, 120, 40])?; // or `load_picture(path, &Default::default())?`
//!
//! let file = encode_picture(&*tokenizer, &picture, Framing::Tile { overlap: 2 }, &device, &mut |_| {})?;
//! let back = decode_tokens(&*tokenizer, &file, &DecodeOptions::prefix(8), &mut |_| {})?; // the first 8 tokens of every tile
//! assert_eq!((back.width(), back.height()), (96, 64));
//! # Ok(())
//! # }
//! ```
//!
//! # Not supported
//! Default models of SEED, the dual-codebook tokenizers and VAT; README.md says what else is missing.
#![deny(missing_docs)]

mod code_vectors;
mod codec;
mod completion;
mod default_model;
mod error;
pub mod eval;
mod memory;
mod perceptual_model;
mod pictures;
mod shapes;
mod squares;
pub mod train;
pub mod verify;

pub use code_vectors::CodeVectors;
pub use codec::Codec;
pub use completion::{Region, given_part, so_far};
pub use default_model::{
    default_generator, default_latent_codec, default_shape_generator, default_shape_tokenizer, default_tokenizer,
};
pub use error::Error;
pub use memory::peak_memory;
pub use perceptual_model::perceptual_net;
pub use pictures::{Framing, LEAST_SIDE, decode_tokens, default_overlap, encode_picture, framed, model_side};
pub use shapes::{
    DEFAULT_RESOLUTION, decode_shape, decode_shapes, encode_shape, is_of_shapes, refine_shape, scale_ends,
    surface_input, surface_of,
};

pub use tessera_datasets as datasets;
pub use tessera_generators as generators;
pub use tessera_generators::{Condition, GenerateOptions, Generated, Generator};
pub use tessera_layers as layers;
pub use tessera_shaders as shaders;
pub use tessera_shaders::device::DeviceChoice;
pub use tessera_tokenizers as tokenizers;
pub use tessera_tokenizers::{DecodeOptions, Tokenizer, Tokens, from_pretrained};
