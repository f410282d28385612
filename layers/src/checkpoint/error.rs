//! What can go wrong with a checkpoint.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::Differences;

/// A checkpoint that cannot be read, or does not hold what the model needs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The operating system refused.
    #[error("{}: {source}{}", path.display(), advice(source.kind()))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// Nothing is where the model was looked for.
    #[error("{spec}: no such file or folder, and no hub id in the cache ({searched}); {advice}")]
    NotFound {
        /// What was asked for.
        spec: String,
        /// Where the hub's cache was searched.
        searched: String,
        /// What to do.
        advice: String,
    },
    /// A folder does not hold exactly one model.
    #[error("{}: expected {expected}, found {found}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What a model's folder holds.
        expected: &'static str,
        /// What this one holds.
        found: String,
    },
    /// A file is not what its reader expects.
    #[error("{}: expected {expected}, but {found}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
        /// What is wrong with it.
        found: String,
    },
    /// A pickle names something that a state dict has no use for. Nothing was executed.
    #[error(
        "{}: expected a state dict, found a pickle that asks for \"{global}\"; it was not run: save the tensors alone, \
         best as .safetensors",
        path.display()
    )]
    ForbiddenGlobal {
        /// The file.
        path: PathBuf,
        /// Module and name, as Python would import them.
        global: String,
    },
    /// The tensors are not those of the model.
    #[error("{}: {differences}{}", path.display(), hint(looks_like))]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Counts and the first of each kind.
        differences: Box<Differences>,
        /// Name of a known model whose tensors these are.
        looks_like: Option<String>,
    },
    /// A tensor holds a value that no trained model has.
    #[error(
        "{}: tensor \"{tensor}\" holds {value} at element {index}: the file is damaged or the training diverged",
        path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// First element that is not finite.
        index: usize,
        /// Its value.
        value: f32,
    },
}

fn hint(looks_like: &Option<String>) -> String {
    looks_like.as_ref().map_or_else(String::new, |name| {
        format!("; the tensors are exactly those of {name}: use that configuration, or another file")
    })
}

fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PermissionDenied => "; give this user the right to it, or choose another place",
        ErrorKind::NotFound => "; check the spelling, or fetch the file again",
        ErrorKind::StorageFull => "; free some space and try again",
        _ => "",
    }
}
