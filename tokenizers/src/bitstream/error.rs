//! What can be wrong with a token file.

use std::io;
use std::path::{Path, PathBuf};

use crate::tokens::TokensError;

/// Why a token file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFileError {
    /// The first bytes are not those of a `.tsr` file.
    #[error(
        "expected a .tsr file, which starts with the bytes 89 54 53 52, found {found:02x?}: choose a file that tessera wrote"
    )]
    NotTsr {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// A version that this program does not know.
    #[error(
        "expected token format version {expected} or older, found {found}: read the file with the tessera release that wrote it"
    )]
    Version {
        /// The newest version that this program reads.
        expected: u32,
        /// The file's version.
        found: u32,
    },
    /// The file ends within its header.
    #[error(
        "expected a header of at least {needed} bytes, found a file of {found}: it is cut or damaged, get it again"
    )]
    HeaderCut {
        /// Bytes that the header has, as far as its start tells.
        needed: usize,
        /// Bytes of the file.
        found: usize,
    },
    /// The header's checksum is wrong.
    #[error("expected the header checksum {computed:08x}, found {found:08x}: the file is damaged, get it again")]
    HeaderDamaged {
        /// The checksum in the file.
        found: u32,
        /// The checksum of the header.
        computed: u32,
    },
    /// A number or name that does not fit the format or the rest of the file.
    #[error("{what}: a token file needs {expected}, found {found}: pass tokens that fit, or make the file again")]
    Field {
        /// Where.
        what: &'static str,
        /// What would fit.
        expected: String,
        /// What was found.
        found: String,
    },
    /// JSON in a `.safetensors` header that does not say what tokens need.
    #[error("{what}: expected the JSON of a tessera token file, found otherwise ({problem}): make the file again")]
    Json {
        /// Where.
        what: &'static str,
        /// What the JSON reader says.
        problem: String,
    },
    /// More ids than a file of this length may describe.
    #[error(
        "expected at most {limit} ids in a file of {bytes} bytes, found {ids}: split the tokens over several files, or get the whole file"
    )]
    TooManyIds {
        /// Ids described, kept or not.
        ids: usize,
        /// The most that this length allows.
        limit: usize,
        /// Bytes of the file.
        bytes: usize,
    },
    /// The file ends before its last token and checksum.
    #[error(
        "expected {expected} tokens and a checksum, found {present} tokens before the file ends: get the whole file, or decode these with `partial`"
    )]
    Cut {
        /// Whole tokens that the file still holds.
        present: usize,
        /// Tokens that it held when it was written.
        expected: usize,
    },
    /// The file goes on after its end.
    #[error(
        "expected a file of {expected} bytes, found {found}: something was appended or the file is damaged, get it again"
    )]
    TooLong {
        /// Bytes that the header asks for.
        expected: usize,
        /// Bytes of the file.
        found: usize,
    },
    /// The checksum over everything is wrong.
    #[error("expected the file checksum {computed:08x}, found {found:08x}: the tokens are damaged, get the file again")]
    Damaged {
        /// The checksum in the file.
        found: u32,
        /// The checksum of the header and the ids.
        computed: u32,
    },
    /// The last byte of the payload has bits set that belong to no id.
    #[error("expected zero bits after the last token, found ones: the file was not written by tessera, make it again")]
    Padding,
    /// The ids do not form tokens.
    #[error("expected ids within the file's vocabularies, found otherwise ({0}): make the file again")]
    Tokens(#[from] TokensError),
    /// The path's extension names no token format.
    #[error("{}: expected a path that ends in .tsr or .safetensors: rename it", path.display())]
    Extension {
        /// The path.
        path: PathBuf,
    },
    /// The file could not be read.
    #[error("{}: expected a readable file ({source}): check the path and its permissions", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The folder to save into does not exist.
    #[error("{}: expected the folder {} to exist: create it first", path.display(), folder.display())]
    NoFolder {
        /// The path.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// There is no space left.
    #[error("{}: expected room for the file, found a full disk or quota: free some space and save again", path.display())]
    DiskFull {
        /// The path.
        path: PathBuf,
    },
    /// The file could not be written.
    #[error("{}: expected a place to write to ({source}): check the path and its permissions", path.display())]
    Write {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// One of the errors above that tell no path, with the path.
    #[error("{}: {error}", path.display())]
    InFile {
        /// The path.
        path: PathBuf,
        /// What is wrong with the file.
        error: Box<TokenFileError>,
    },
}

impl TokenFileError {
    /// The error itself, without the path of [`TokenFileError::InFile`].
    pub fn kind(&self) -> &Self {
        match self {
            Self::InFile { error, .. } => error.kind(),
            other => other,
        }
    }

    pub(crate) fn in_file(self, path: &Path) -> Self {
        Self::InFile { path: path.to_owned(), error: Box::new(self) }
    }
}
