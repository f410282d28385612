//! Checkpoints of a run: complete, and there as a whole or not at all.
//!
//! ```text
//! OUT/checkpoints/000500/    model.safetensors       weights, released names
//!                            ema.safetensors         averaged weights
//!                            optimizer.safetensors   the optimiser's moments
//!                            discriminator*.safetensors   with an adversarial term
//!                            state.json              step, codebook counts, running means
//! ```
//!
//! The state of chance and the place in the data need no file: both follow from the seed and the step.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tessera_layers::atomic_file::folder_of;
use tessera_layers::checkpoint::{NamedTensor, Precision, write_safetensors};

use super::TrainError;

/// What a checkpoint says beside its tensors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// Uses of each code since dead codes were last looked for.
    pub code_counts: Vec<u64>,
    /// Running mean logits of the discriminator, real and fake.
    pub lecam: [f32; 2],
    /// Seconds of training so far, over all runs.
    pub seconds: f64,
    /// The settings that the run was started with, to notice others.
    pub config: String,
}

/// The name of a checkpoint that is being written.
const UNFINISHED: &str = "unfinished";

/// The folder of checkpoints of a run.
pub struct Checkpoints {
    folder: PathBuf,
    keep: usize,
}

impl Checkpoints {
    /// The checkpoints of the run in `out`, of which the last `keep` stay.
    pub fn new(out: &Path, keep: usize) -> Self {
        Self { folder: out.join("checkpoints"), keep: keep.max(1) }
    }

    /// The folder of the last whole checkpoint.
    ///
    /// # Errors
    /// [`TrainError::Io`] if the folder cannot be read.
    pub fn last(&self) -> Result<Option<PathBuf>, TrainError> {
        Ok(self.all()?.pop())
    }

    /// All whole checkpoints, the last one last. What a killed run left half-written has another name.
    fn all(&self) -> Result<Vec<PathBuf>, TrainError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(io(&self.folder, source)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(|source| io(&self.folder, source))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(step) = name.and_then(|name| name.parse::<u64>().ok()) {
                found.push((step, path));
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, path)| path).collect())
    }

    /// Writes a checkpoint under another name, flushes it, gives it its name, and then removes older ones.
    ///
    /// # Errors
    /// [`TrainError`] if a file cannot be written; earlier checkpoints are then all there.
    pub fn write(&self, state: &State, files: &[(&str, Vec<NamedTensor>)]) -> Result<PathBuf, TrainError> {
        let last = self.folder.join(format!("{:08}", state.step));
        let unfinished = self.folder.join(UNFINISHED);
        for old in [&unfinished, &last] {
            if old.exists() {
                fs::remove_dir_all(old).map_err(|source| io(old, source))?;
            }
        }
        fs::create_dir_all(&unfinished).map_err(|source| io(&unfinished, source))?;
        for (name, tensors) in files {
            write_safetensors(&unfinished.join(name), tensors, Precision::F32, Default::default())?;
        }
        let path = unfinished.join("state.json");
        let text = serde_json::to_vec(state).map_err(|error| TrainError::Report(error.to_string()))?;
        write(&path, &text)?;
        fs::rename(&unfinished, &last).map_err(|source| io(&last, source))?;
        fs::File::open(folder_of(&last)).and_then(|folder| folder.sync_all()).ok();
        let all = self.all()?;
        for old in all.iter().take(all.len().saturating_sub(self.keep)) {
            fs::remove_dir_all(old).map_err(|source| io(old, source))?;
        }
        Ok(last)
    }
}

/// Reads the state of the checkpoint in `folder`.
///
/// # Errors
/// [`TrainError`] if it is missing or not what this version writes.
pub fn read_state(folder: &Path) -> Result<State, TrainError> {
    let path = folder.join("state.json");
    let text = fs::read_to_string(&path).map_err(|source| io(&path, source))?;
    serde_json::from_str(&text).map_err(|error| TrainError::Config { file: path, message: error.to_string() })
}

/// Writes a whole file or none.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    Ok(tessera_datasets::write_atomically(path, |file| std::io::Write::write_all(file, bytes))?)
}

pub(super) fn io(path: &Path, source: std::io::Error) -> TrainError {
    TrainError::Io { path: path.to_owned(), source }
}
