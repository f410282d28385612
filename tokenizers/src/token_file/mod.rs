//! Token files: tokens on disk, with the size of the picture they came from.
//!
//! Two formats hold the same things; the file's extension chooses.
//!
//! | extension      | for                                          | size of an id               | a cut file       |
//! |----------------|----------------------------------------------|-----------------------------|------------------|
//! | `.tsr`         | storing and sending, see [`crate::bitstream`] | `ceil(log2 vocabulary)` bits | decodes in part  |
//! | `.safetensors` | other programs, see [`write_safetensors`]    | 8 bytes                     | is an error      |
//!
//! ```
//! use tessera_tokenizers::{Fingerprint, PictureInfo, TokenFile, TokenLayout, Tokens, load_tokens, save_tokens};
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("cat.tsr");
//! let layout = TokenLayout::Ordered { len: 4 };
//! let tokens = Tokens::new(vec![17, 4095, 0, 8], 1, layout, vec![4096], Fingerprint::default())?;
//! let file = TokenFile::new(tokens).with_picture(PictureInfo::whole(640, 480));
//! save_tokens(&path, &file)?;
//! assert_eq!(load_tokens(&path, false)?, file);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Readers take hostile input: they return a [`TokenFileError`](crate::TokenFileError), never panic, and allocate no
//! more than [`memory_limit`] says.

mod disk;
mod interchange;
mod limits;
mod picture;

pub use disk::{MAX_FILE_BYTES, load_tokens, save_tokens};
pub use interchange::{read_safetensors, write_safetensors};
pub use limits::{IDS_PER_BYTE, MAX_DEPTH, MAX_IDS, MAX_SCALES, SMALL_IDS, ids_limit, memory_limit};
pub(crate) use limits::{check_shape, size};
pub use picture::PictureInfo;

use crate::tokens::Tokens;

/// What a token file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenFile {
    /// The tokens: one item, or one item a tile, row by row.
    pub tokens: Tokens,
    /// The picture they were made from, if it is known.
    pub picture: Option<PictureInfo>,
    /// What is missing, where the file that was read had been cut; writers ignore it.
    pub cut: Option<Cut>,
}

/// How much of a cut file is left. A token is one kept position of one item, with its codes at every depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cut {
    /// Whole tokens that the file still holds.
    pub present: usize,
    /// Tokens that it held when it was written.
    pub expected: usize,
}

impl TokenFile {
    /// Tokens of unknown origin.
    pub fn new(tokens: Tokens) -> Self {
        Self { tokens, picture: None, cut: None }
    }

    /// The same tokens, made from this picture.
    pub fn with_picture(mut self, picture: PictureInfo) -> Self {
        self.picture = Some(picture);
        self
    }
}
