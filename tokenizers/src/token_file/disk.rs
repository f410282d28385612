//! Saving and loading by path.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::Path;

use tessera_layers::AtomicFile;
use tessera_layers::atomic_file::folder_of;

use super::{TokenFile, read_safetensors, write_safetensors};
use crate::bitstream::{TokenFileError, read_tsr, write_tsr};

/// Bytes of the longest file that [`load_tokens`] reads: room for [`MAX_IDS`](super::MAX_IDS) ids in either format.
pub const MAX_FILE_BYTES: u64 = 10 * (1 << 26);

#[derive(Clone, Copy)]
enum Format {
    Tsr,
    Safetensors,
}

impl Format {
    fn of(path: &Path) -> Result<Self, TokenFileError> {
        match path.extension() {
            Some(end) if end.eq_ignore_ascii_case("tsr") => Ok(Self::Tsr),
            Some(end) if end.eq_ignore_ascii_case("safetensors") => Ok(Self::Safetensors),
            _ => Err(TokenFileError::Extension { path: path.to_owned() }),
        }
    }
}

/// Saves tokens as `.tsr` or `.safetensors`, whichever the path ends in.
///
/// The file appears whole or not at all: it is written beside its final place under a temporary name, synced, then
/// renamed. A file that was there before is replaced.
///
/// # Errors
/// [`TokenFileError`] for another extension, tokens beyond the format's limits, a folder that does not exist, a full
/// disk, or any other failure to write; the message names the path.
pub fn save_tokens(path: impl AsRef<Path>, file: &TokenFile) -> Result<(), TokenFileError> {
    let path = path.as_ref();
    let bytes = match Format::of(path)? {
        Format::Tsr => write_tsr(file),
        Format::Safetensors => write_safetensors(file),
    };
    let bytes = bytes.map_err(|error| error.in_file(path))?;
    replace(path, &bytes).map_err(|source| write_error(path, source))
}

/// Loads tokens from a `.tsr` or `.safetensors` file, whichever the path ends in.
///
/// `partial` accepts a `.tsr` file that was cut after its header, see [`read_tsr`]; a cut `.safetensors` file is always
/// an error. Besides what [`memory_limit`](super::memory_limit) allows, the file itself is held in memory.
///
/// # Errors
/// [`TokenFileError`] for another extension, a file that cannot be read or is longer than [`MAX_FILE_BYTES`], and all
/// that [`read_tsr`] and [`read_safetensors`] refuse; the message names the path.
pub fn load_tokens(path: impl AsRef<Path>, partial: bool) -> Result<TokenFile, TokenFileError> {
    let path = path.as_ref();
    let format = Format::of(path)?;
    let bytes = read_bounded(path)?;
    let file = match format {
        Format::Tsr => read_tsr(&bytes, partial),
        Format::Safetensors => read_safetensors(&bytes),
    };
    file.map_err(|error| error.in_file(path))
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, TokenFileError> {
    let long = |found| {
        let expected = format!("at most {MAX_FILE_BYTES} bytes");
        TokenFileError::Field { what: "file", expected, found: format!("{found} or more") }.in_file(path)
    };
    let failed = |source| TokenFileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length > MAX_FILE_BYTES {
        return Err(long(length));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX)).map_err(|error| failed(error.into()))?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= MAX_FILE_BYTES => Ok(bytes),
        _ => Err(long(MAX_FILE_BYTES + 1)),
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes)?;
    file.commit()
}

fn write_error(path: &Path, source: io::Error) -> TokenFileError {
    let folder = folder_of(path);
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => TokenFileError::DiskFull { path: path.to_owned() },
        ErrorKind::NotFound | ErrorKind::NotADirectory if !folder.is_dir() => {
            TokenFileError::NoFolder { path: path.to_owned(), folder: folder.to_owned() }
        }
        _ => TokenFileError::Write { path: path.to_owned(), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart_from_other_failures() {
        let error = |kind: ErrorKind| write_error(Path::new("a.tsr"), kind.into());
        assert!(matches!(error(ErrorKind::StorageFull), TokenFileError::DiskFull { .. }));
        assert!(matches!(error(ErrorKind::QuotaExceeded), TokenFileError::DiskFull { .. }));
        assert!(matches!(error(ErrorKind::PermissionDenied), TokenFileError::Write { .. }));
        assert!(matches!(error(ErrorKind::NotFound), TokenFileError::Write { .. }), "the folder is there");
    }
}
