//! Memory-mapped safetensors files: one, or the several that an index names.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::Metadata;

use super::CheckpointError;
use super::header::read_header;

/// Longer index files are refused.
const MOST_INDEX_BYTES: u64 = 64 << 20;

/// One mapped file.
pub(super) struct Shard {
    pub map: Mmap,
    pub metadata: Metadata,
    pub start: usize,
}

/// Opens a regular file; a folder, pipe or device is refused before anything is read from it.
pub(super) fn open_file(path: &Path) -> Result<File, CheckpointError> {
    let io = |source| CheckpointError::Io { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        let found = "it is a folder or a device; name the file".to_owned();
        return Err(CheckpointError::Malformed { path: path.to_owned(), expected: "a file", found });
    }
    File::open(path).map_err(io)
}

/// Maps a file read-only.
pub(super) fn map(path: &Path) -> Result<Mmap, CheckpointError> {
    let file = open_file(path)?;
    // SAFETY: the map is read-only. Another process that truncates the file while it is mapped can end this one
    // (as with any mapped file); every offset used is checked against the length of the map.
    unsafe { Mmap::map(&file) }.map_err(|source| CheckpointError::Io { path: path.to_owned(), source })
}

/// Maps a safetensors file and reads its header.
pub(super) fn open_shard(path: &Path) -> Result<Shard, CheckpointError> {
    let map = map(path)?;
    let (start, metadata) = read_header(path, &map)?;
    Ok(Shard { map, metadata, start })
}

/// The files beside `index` that it names, sorted.
pub(super) fn shard_paths(index: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let folder = index.parent().unwrap_or(Path::new(""));
    Ok(read_index(index)?.into_keys().map(|file| folder.join(file)).collect())
}

/// Opens every file of an index. Index and files must agree on every tensor.
pub(super) fn open_shards(index: &Path) -> Result<Vec<Shard>, CheckpointError> {
    let folder = index.parent().unwrap_or(Path::new(""));
    let mut shards = Vec::new();
    for (file, tensors) in read_index(index)? {
        let shard = open_shard(&folder.join(&file))?;
        if let Some(absent) = tensors.iter().find(|name| shard.metadata.info(name).is_none()) {
            return Err(malformed(index, format!("\"{file}\" does not hold tensor \"{absent}\"; fetch both again")));
        }
        let held = shard.metadata.offset_keys();
        if let Some(unlisted) = held.iter().find(|name| !tensors.contains(name.as_str())) {
            let found = format!("it does not list tensor \"{unlisted}\" in \"{file}\"; fetch both again");
            return Err(malformed(index, found));
        }
        shards.push(shard);
    }
    Ok(shards)
}

/// File name to the sorted names of its tensors.
fn read_index(index: &Path) -> Result<BTreeMap<String, std::collections::BTreeSet<String>>, CheckpointError> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let bytes = map(index)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MOST_INDEX_BYTES {
        return Err(malformed(index, format!("it is longer than {MOST_INDEX_BYTES} bytes")));
    }
    let parsed: Index = serde_json::from_slice(&bytes).map_err(|error| malformed(index, error.to_string()))?;
    let mut files = BTreeMap::<String, std::collections::BTreeSet<String>>::new();
    for (tensor, file) in parsed.weight_map {
        if file.is_empty() || file.starts_with('.') || file.contains(['/', '\\', ':', '\0']) {
            return Err(malformed(index, format!("\"{file}\" is no file beside it")));
        }
        files.entry(file).or_default().insert(tensor);
    }
    if files.is_empty() {
        return Err(malformed(index, "it names no tensor".to_owned()));
    }
    Ok(files)
}

fn malformed(path: &Path, found: String) -> CheckpointError {
    CheckpointError::Malformed { path: path.to_owned(), expected: "a safetensors index with a weight_map", found }
}
