//! Why a model could not be made.

use std::path::PathBuf;

use tessera_layers::checkpoint::CheckpointError;

use crate::ConfigError;

/// Why a model could not be made of its files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The weights, or the files themselves.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration in this file.
    #[error("{}: {source}", path.display())]
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ConfigError,
    },
}

impl LoadError {
    /// Names the file that a configuration error came from.
    pub fn in_file(self, path: &std::path::Path) -> Self {
        match self {
            Self::Config(source) => Self::ConfigFile { path: path.to_owned(), source },
            other => other,
        }
    }
}
