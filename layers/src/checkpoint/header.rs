//! The header of a safetensors file, checked against the file's length.

use std::path::Path;

use safetensors::tensor::{Metadata, SafeTensorError, SafeTensors};

use super::CheckpointError;

const EXPECTED: &str = "a safetensors file";

/// Start of the data, and the header. Every offset in it lies within `bytes`.
pub(super) fn read_header(path: &Path, bytes: &[u8]) -> Result<(usize, Metadata), CheckpointError> {
    let malformed = |found: String| CheckpointError::Malformed { path: path.to_owned(), expected: EXPECTED, found };
    if let Some(found) = impostor(bytes) {
        return Err(malformed(found.to_owned()));
    }
    let (length, metadata) =
        SafeTensors::read_metadata(bytes).map_err(|error| malformed(sentence(&error, bytes.len())))?;
    let start = length.checked_add(8).ok_or_else(|| malformed("its header has no end".to_owned()))?;
    Ok((start, metadata))
}

/// What a file is that people mistake for weights.
pub(super) fn impostor(bytes: &[u8]) -> Option<&'static str> {
    let start = bytes.get(..bytes.len().min(512)).unwrap_or_default();
    let begins = |text: &str| start.get(..text.len()).is_some_and(|head| head.eq_ignore_ascii_case(text.as_bytes()));
    if bytes.is_empty() {
        return Some("it is empty; fetch it again");
    }
    if begins("version https://git-lfs") {
        return Some("it is a Git LFS pointer, not the weights themselves; run `git lfs pull` beside it");
    }
    if begins("<!doctype") || begins("<html") {
        return Some("it is a web page, not the file it links to; fetch the file itself");
    }
    let printable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t');
    // A header's length is a little-endian u64, so a real file has zero bytes among its first eight.
    (start.len() >= 8 && start.iter().all(printable)).then_some("it is a text file; give the weights")
}

fn sentence(error: &SafeTensorError, length: usize) -> String {
    match error {
        SafeTensorError::HeaderTooLarge => {
            "its header claims more than the 100 MB that the format allows; it is damaged or of another format"
                .to_owned()
        }
        SafeTensorError::HeaderTooSmall | SafeTensorError::InvalidHeaderLength => {
            format!("it ends after {length} bytes, inside its header; fetch it again")
        }
        SafeTensorError::MetadataIncompleteBuffer => {
            format!(
                "its {length} bytes are not the number that its header promises: it is truncated or damaged; fetch it again"
            )
        }
        other => format!("its header is invalid ({other}); fetch it again"),
    }
}
