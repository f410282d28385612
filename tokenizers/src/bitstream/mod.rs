//! The packed token file `.tsr`: ids at `ceil(log2 vocabulary)` bits behind a header that says what they are.
//!
//! ```text
//! TokenFile ──write_tsr──▶ | magic, model, layout, picture, kept | crc | ids, token by token | crc | ──read_tsr──▶ TokenFile
//! ```
//!
//! Tokens of all items at position 0 come first, then those at position 1, and so on. With an ordered tokenizer the most
//! important tokens of every tile thus lead the file, and a file that was cut anywhere after its header still decodes:
//! ```
//! use tessera_tokenizers::{Fingerprint, TokenFile, TokenLayout, Tokens, read_tsr, write_tsr};
//! let layout = TokenLayout::Ordered { len: 4 };
//! let tokens = Tokens::new(vec![17, 4095, 0, 8], 1, layout, vec![4096], Fingerprint::default())?;
//! let bytes = write_tsr(&TokenFile::new(tokens.clone()))?;
//! assert_eq!(read_tsr(&bytes, false)?.tokens, tokens);
//! let (cut, _) = bytes.split_at(bytes.len() - 7);
//! assert!(read_tsr(cut, false).is_err());
//! assert_eq!(read_tsr(cut, true)?.tokens, tokens.prefix(2)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! Files: `header` (everything but the ids), `kept` (which positions are there), `bits` (packing), `reader`, `writer`,
//! `error`.
#![doc = ""]
#![doc = include_str!("FORMAT.md")]

mod bits;
mod error;
mod header;
mod kept;
mod reader;
mod writer;

pub use error::TokenFileError;
pub use reader::read_tsr;
pub use writer::{payload, write_tsr};

/// Indices into `[items, positions]` in the order of the stream: the first position of every item, then the second.
fn stream_order(items: usize, positions: usize) -> impl Iterator<Item = usize> {
    let all = items.saturating_mul(positions);
    (0..positions).flat_map(move |position| (position..all).step_by(positions.max(1)))
}
