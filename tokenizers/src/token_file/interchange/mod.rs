//! Tokens as `.safetensors`, for other programs.
//!
//! The header is read here rather than with the `safetensors` crate: this reader knows the two tensors there can be,
//! takes a header of 128 KiB instead of 100 MB, and writes the metadata in a fixed order, so that equal tokens give
//! equal bytes.

mod reader;
mod schema;
mod writer;

pub use reader::read_safetensors;
pub use writer::write_safetensors;
