//! PyTorch state dicts: `.bin`, `.pt`, `.pth`, `.ckpt`.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use pytorch_reader::PytorchReader;

use super::CheckpointError;
use super::globals::{Refusal, scan};
use super::header::impostor;
use super::shards::{map, open_file};

const EXPECTED: &str = "a PyTorch state dict";
/// Keys under which training scripts keep the weights, the preferred first.
const WRAPPERS: [&str; 5] = ["ema", "model", "module", "state_dict", "model_state_dict"];
/// Longest pickle that is read; released ones have some hundred kilobytes.
const MOST_PICKLE_BYTES: u64 = 100 << 20;
/// A tensor may take this much memory, or as much as its file has bytes if that is more.
const FREE_BYTES: u64 = 16 << 20;

/// A state dict, and the key it was found under.
pub(super) struct StateDict {
    pub reader: PytorchReader,
    pub wrapper: Option<String>,
}

/// Reads names and shapes. With `key`, the dictionary under that key of the file's outermost one.
pub(super) fn open_torch(path: &Path, key: Option<&str>) -> Result<StateDict, CheckpointError> {
    let file_bytes = check_pickles(path)?;
    let malformed = |found: String| malformed(path, found);
    let state = match key {
        Some(key) => {
            let reader = PytorchReader::with_top_level_key(path, key)
                .map_err(|error| malformed(format!("under \"{key}\": {error}")))?;
            StateDict { reader, wrapper: Some(key.to_owned()) }
        }
        None => unwrap(path, PytorchReader::new(path).map_err(|error| malformed(error.to_string()))?),
    };
    if state.reader.is_empty() {
        return Err(malformed("it holds no tensor".to_owned()));
    }
    // A view may repeat its storage without end; what is read must stay in proportion to the file.
    let most = file_bytes.max(FREE_BYTES);
    for (name, tensor) in state.reader.tensors() {
        let bytes = u64::try_from(tensor.byte_len()).unwrap_or(u64::MAX);
        if bytes > most {
            let found = format!("tensor \"{name}\" would take {bytes} bytes where the file has {file_bytes}");
            return Err(malformed(found));
        }
    }
    Ok(state)
}

/// The dictionary within, where the outermost one is a training script's record.
fn unwrap(path: &Path, outermost: PytorchReader) -> StateDict {
    for key in WRAPPERS {
        // A flat name such as "model.norm" begins the same way, but then there is no key "model".
        let prefix = format!("{key}.");
        if outermost.tensors().keys().any(|name| name.starts_with(&prefix))
            && let Ok(reader) = PytorchReader::with_top_level_key(path, key)
            && !reader.is_empty()
        {
            return StateDict { reader, wrapper: Some(key.to_owned()) };
        }
    }
    StateDict { reader: outermost, wrapper: None }
}

/// Refuses pickles that ask for more than data. Returns the file's length.
fn check_pickles(path: &Path) -> Result<u64, CheckpointError> {
    let bytes = map(path)?;
    if let Some(found) = impostor(&bytes) {
        return Err(malformed(path, found.to_owned()));
    }
    let checked = |pickle: &[u8]| {
        scan(pickle).map_err(|refusal| match refusal {
            Refusal::Global(global) => CheckpointError::ForbiddenGlobal { path: path.to_owned(), global },
            Refusal::Broken(found) => malformed(path, found.to_owned()),
        })
    };
    if bytes.starts_with(b"PK") {
        checked(&zipped_pickle(path)?)?;
    } else if bytes.get(257..262) == Some(b"ustar") {
        let found = "it is a tar file of PyTorch before 0.1.10; load it there and save it again".to_owned();
        return Err(malformed(path, found));
    } else {
        // Before 1.6: five pickles (magic number, protocol, system, state dict, storage keys), then the storages.
        let mut rest = bytes.get(..).unwrap_or_default();
        for _ in 0..5 {
            let length = checked(rest)?;
            rest = rest.get(length..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
        }
    }
    Ok(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
}

/// The pickle of a zip container: the `data.pkl` that is nearest to the archive's root, as the reader takes it.
fn zipped_pickle(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let invalid = |error: zip::result::ZipError| {
        malformed(
            path,
            format!("its zip container cannot be read ({error}): it is truncated or damaged; fetch it again"),
        )
    };
    let file: File = open_file(path)?;
    let mut archive = zip::ZipArchive::new(std::io::BufReader::new(file)).map_err(invalid)?;
    let names = archive.file_names().collect::<Result<Vec<_>, _>>().map_err(invalid)?;
    let mut pickles: Vec<String> = names
        .iter()
        .filter(|name| name.strip_suffix("data.pkl").is_some_and(|root| root.is_empty() || root.ends_with('/')))
        .map(ToString::to_string)
        .collect();
    let name = match pickles.as_mut_slice() {
        [only] => std::mem::take(only),
        [] => {
            return Err(malformed(path, "its zip container holds no data.pkl".to_owned()));
        }
        several => {
            return Err(malformed(path, format!("its zip container holds {} data.pkl", several.len())));
        }
    };
    let entry = archive.by_name(&name).map_err(invalid)?;
    let mut pickle = Vec::new();
    let io = |source| CheckpointError::Io { path: path.to_owned(), source };
    entry.take(MOST_PICKLE_BYTES + 1).read_to_end(&mut pickle).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => {
            malformed(path, format!("its pickle cannot be read ({error}); fetch it again"))
        }
        _ => io(error),
    })?;
    if u64::try_from(pickle.len()).unwrap_or(u64::MAX) > MOST_PICKLE_BYTES {
        return Err(malformed(path, format!("its pickle is longer than {MOST_PICKLE_BYTES} bytes")));
    }
    Ok(pickle)
}

fn malformed(path: &Path, found: String) -> CheckpointError {
    CheckpointError::Malformed { path: path.to_owned(), expected: EXPECTED, found }
}
