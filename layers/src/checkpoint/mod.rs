//! Reading and writing checkpoints: the released files, unchanged.
//!
//! [`locate()`] finds a model's files from a folder, a file or a hub id (from the hub's cache on disk; no socket is ever
//! opened), [`read_config`] reads its JSON or YAML, [`Weights`] reads safetensors and PyTorch state dicts lazily, and
//! [`load_strict`] makes a model of them that has exactly the tensors it needs.
//!
//! Files come from strangers: whatever a file holds, the answer is its values or a [`CheckpointError`], nothing in it is
//! ever executed, and what is held of it stays in proportion to its length (a repeated view may take 16 MiB).

mod config;
mod element;
mod error;
mod fingerprint;
mod globals;
mod header;
mod hub;
mod interpolate;
mod load;
mod locate;
mod parts;
mod python_literal;
mod renames;
mod save;
mod save_module;
mod shards;
mod strict;
mod torch;
mod weights;

pub use config::{parse_config, read_config};
pub use element::ElementType;
pub use error::CheckpointError;
pub use fingerprint::{ContentHash, canonical_json, fingerprint, hex};
pub use load::{load_strict, load_strict_renamed};
pub use locate::{CheckpointFiles, LocateOptions, WeightsKind, locate, locate_with};
pub use parts::main_file;
pub use python_literal::{parse_python_literal, write_python_literal};
pub use renames::Renames;
pub use save::{NamedTensor, Precision, write_safetensors, write_streaming};
pub use save_module::{parameter_values, save_module, to_file_form};
pub use strict::{Differences, Misshapen, check_finite, compare, differences};
pub use weights::{TensorEntry, Weights};
