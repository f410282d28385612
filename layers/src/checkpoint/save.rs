//! Writing weights.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::Path;

use super::{CheckpointError, TensorEntry, check_finite};
use crate::AtomicFile;

/// A tensor to write.
#[derive(Debug, Clone)]
pub struct NamedTensor {
    /// Released name.
    pub name: String,
    /// Shape in the file.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub values: Vec<f32>,
}

/// What to store numbers as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Four bytes.
    F32,
    /// Two bytes; halves the file and rounds to 11 significant bits.
    F16,
    /// Two bytes; the range of f32 and 8 significant bits.
    Bf16,
}

impl Precision {
    fn bytes(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    /// `None` if a value is too large to be stored.
    fn encode(self, values: &[f32]) -> Option<Vec<u8>> {
        match self {
            Self::F32 => Some(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Self::F16 => {
                let halves: Vec<_> = values.iter().map(|&value| half::f16::from_f32(value)).collect();
                halves.iter().all(|h| h.is_finite()).then(|| halves.iter().flat_map(|h| h.to_le_bytes()).collect())
            }
            Self::Bf16 => {
                let halves: Vec<_> = values.iter().map(|&value| half::bf16::from_f32(value)).collect();
                halves.iter().all(|h| h.is_finite()).then(|| halves.iter().flat_map(|h| h.to_le_bytes()).collect())
            }
        }
    }
}

/// Writes a safetensors file of tensors that are all in memory; otherwise as [`write_streaming`].
///
/// # Errors
/// As [`write_streaming`].
pub fn write_safetensors(
    path: &Path,
    tensors: &[NamedTensor],
    precision: Precision,
    metadata: HashMap<String, String>,
) -> Result<(), CheckpointError> {
    let entries: Vec<_> =
        tensors.iter().map(|t| TensorEntry { name: t.name.clone(), shape: t.shape.clone() }).collect();
    let by_name: HashMap<&str, &NamedTensor> = tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    write_streaming(path, &entries, precision, metadata, |entry| {
        Ok(by_name.get(entry.name.as_str()).map(|tensor| tensor.values.clone()).unwrap_or_default())
    })
}

/// Writes a safetensors file, asking `values` for one tensor at a time, sorted by name. The same input gives the same
/// bytes.
///
/// The file is written under a temporary name in the same folder, flushed to the disk, then renamed. If anything fails
/// the temporary file is removed and an existing file stays as it is.
///
/// # Errors
/// [`CheckpointError::Io`] if the folder does not exist, is not writable, or the disk is full;
/// [`CheckpointError::Malformed`] if two tensors have one name, values do not fill their shape, or a value is too large
/// for `precision`; [`CheckpointError::NotFinite`] for NaN and infinity, which could not be loaded again; any error of
/// `values`.
pub fn write_streaming(
    path: &Path,
    entries: &[TensorEntry],
    precision: Precision,
    metadata: HashMap<String, String>,
    mut values: impl FnMut(&TensorEntry) -> Result<Vec<f32>, CheckpointError>,
) -> Result<(), CheckpointError> {
    let io = |source| CheckpointError::Io { path: path.to_owned(), source };
    let malformed = |found: String| malformed(path, found);
    let mut sorted: Vec<&TensorEntry> = entries.iter().collect();
    sorted.sort();
    let header = header(path, &sorted, precision, metadata)?;

    let mut writer = AtomicFile::create(path).map_err(io)?;
    let length = u64::try_from(header.len()).map_err(|_| malformed("the header is too long".to_owned()))?;
    writer.write_all(&length.to_le_bytes()).and_then(|()| writer.write_all(&header)).map_err(io)?;
    for entry in sorted {
        let read = values(entry)?;
        let name = &entry.name;
        if Some(read.len()) != count(&entry.shape) {
            return Err(malformed(format!("\"{name}\" has {} values for shape {:?}", read.len(), entry.shape)));
        }
        check_finite(path, name, &read)?;
        let too_large = || malformed(format!("\"{name}\" holds a value too large for {}; store F32", precision.name()));
        writer.write_all(&precision.encode(&read).ok_or_else(too_large)?).map_err(io)?;
    }
    writer.commit().map_err(io)
}

/// The JSON header, padded to eight bytes.
fn header(
    path: &Path,
    sorted: &[&TensorEntry],
    precision: Precision,
    metadata: HashMap<String, String>,
) -> Result<Vec<u8>, CheckpointError> {
    #[derive(serde::Serialize)]
    #[serde(untagged)]
    enum Item<'a> {
        Text(BTreeMap<String, String>),
        Tensor { dtype: &'static str, shape: &'a [usize], data_offsets: [usize; 2] },
    }
    let mut items = BTreeMap::new();
    let mut end = 0_usize;
    for entry in sorted {
        let start = end;
        let bytes = count(&entry.shape).and_then(|count| count.checked_mul(precision.bytes()));
        end = bytes
            .and_then(|bytes| start.checked_add(bytes))
            .ok_or_else(|| malformed(path, format!("\"{}\" has the impossible shape {:?}", entry.name, entry.shape)))?;
        let item = Item::Tensor { dtype: precision.name(), shape: &entry.shape, data_offsets: [start, end] };
        if entry.name == "__metadata__" || items.insert(entry.name.as_str(), item).is_some() {
            return Err(malformed(path, format!("\"{}\" is there twice, or reserved", entry.name)));
        }
    }
    if !metadata.is_empty() {
        items.insert("__metadata__", Item::Text(metadata.into_iter().collect()));
    }
    let mut header = serde_json::to_vec(&items).map_err(|error| malformed(path, error.to_string()))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size))
}

fn malformed(path: &Path, found: String) -> CheckpointError {
    CheckpointError::Malformed {
        path: path.to_owned(),
        expected: "distinct tensors whose values fill their shapes",
        found,
    }
}
