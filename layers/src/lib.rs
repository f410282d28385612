//! Building blocks of tessera's networks, and reading and writing their checkpoints.
//!
//! A module is made by a constructor that asks [`Params`] for each tensor by its released name and shape; the
//! same code loads a checkpoint, starts a training from a seed, and lists what a checkpoint must hold.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use tessera_layers::{ParamSource, VitBlock};
//!
//! let device = Device::flex();
//! let source = ParamSource::seeded(1, &device);
//! let block = VitBlock::new(&source.root().at("block"), 32, 4, 128)?;
//! let x = Tensor::<3>::zeros([2, 5, 32], &device);
//! assert_eq!(block.forward(x).dims(), [2, 5, 32]);
//! assert_eq!(source.into_taken()[0].name, "block.ln_1.weight");
//! # Ok::<(), tessera_layers::checkpoint::CheckpointError>(())
//! ```
#![deny(missing_docs)]

pub mod atomic_file;
pub mod attention;
pub mod checkpoint;
mod conv2d;
pub mod conv_autoencoder;
mod cross_entropy;
mod group_norm;
mod half_weights;
mod init;
mod layer_norm;
mod linear;
pub mod params;
pub mod perceptual;
mod qkv;
pub mod resample;
mod rms_norm;
mod rotary;
mod runs;
pub mod siglip;
pub mod trace;
mod vit_block;

pub use atomic_file::AtomicFile;
pub use checkpoint::load_strict;
pub use conv2d::Conv2d;
pub use cross_entropy::cross_entropy;
pub use group_norm::GroupNorm;
pub use half_weights::half_weights;
pub use init::Init;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use params::{Form, ParamResult, ParamSource, ParamSpec, Params};
pub use qkv::PackedQkv;
pub use rms_norm::RmsNorm;
pub use rotary::{Rotary, Turns};
pub use runs::in_runs;
pub use trace::{Tap, Trace};
pub use vit_block::{VIT_EPSILON, VitActivation, VitBlock, VitNames};
