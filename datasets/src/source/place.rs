//! [`Place`]: where the bytes of an image lie, a whole file or a span of a tar.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use crate::error::{DatasetError, Result};

/// The most bytes that an image file of a data source may have (256 MiB).
const MAX_FILE_BYTES: u64 = 1 << 28;
/// The most bytes that a caption may have.
const MAX_CAPTION_BYTES: u64 = 1 << 16;

/// A file of the source, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which of the source's files.
    pub file: usize,
    /// Offset and length inside it; the whole file if `None`.
    pub span: Option<(u64, u64)>,
}

impl Place {
    /// The bytes of an image called `name`; `file` is the path that [`Place::file`] stands for.
    ///
    /// The file is opened for each read: that costs some microseconds, needs no lock between workers and keeps the
    /// number of open files small however many shards there are.
    pub(super) fn image_bytes(&self, file: &Path, name: &str) -> Result<Vec<u8>> {
        self.bytes(file, name, MAX_FILE_BYTES)
    }

    /// The text of a caption called `name`, without white space around it.
    pub(super) fn text(&self, file: &Path, name: &str) -> Result<String> {
        let bytes = self.bytes(file, name, MAX_CAPTION_BYTES)?;
        let text = String::from_utf8(bytes).map_err(|_| DatasetError::NotText { name: name.to_owned() })?;
        Ok(text.trim().to_owned())
    }

    fn bytes(&self, path: &Path, name: &str, limit: u64) -> Result<Vec<u8>> {
        let reading = |error| DatasetError::reading(path, error);
        let mut file = File::open(path).map_err(reading)?;
        let length = match self.span {
            Some((_, length)) => length,
            None => file.metadata().map_err(reading)?.len(),
        };
        if length > limit {
            return Err(DatasetError::FileTooLarge { name: name.to_owned(), bytes: length, limit });
        }
        if let Some((offset, _)) = self.span {
            file.seek(SeekFrom::Start(offset)).map_err(reading)?;
        }
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes).map_err(reading)?;
        if bytes.len() as u64 != length {
            return Err(DatasetError::reading(path, std::io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(bytes)
    }
}
