//! Errors of a training run.

use std::path::PathBuf;

use tessera_datasets::DatasetError;
use tessera_datasets::shape::ShapeError;
use tessera_generators::GeneratorError;
use tessera_layers::checkpoint::CheckpointError;
use tessera_tokenizers::{LoadError, TokenFileError};

/// Why a training did not start, or ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting does not fit.
    #[error("setting {key}: expected {expected}, found {found}")]
    Invalid {
        /// Section and name.
        key: &'static str,
        /// What would fit.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A configuration file cannot be understood.
    #[error("{file}: {message}", file = .file.display())]
    Config {
        /// The file.
        file: PathBuf,
        /// Line and reason.
        message: String,
    },
    /// A file of the run cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The folder holds another run.
    #[error("{folder} {found}; {advice}", folder = .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is there.
        found: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// The loss is not a number any more.
    #[error(
        "the training diverged at step {step} (loss {loss}): lower optimizer.learning_rate or optimizer.clip_norm and resume \
         from the last checkpoint"
    )]
    Diverged {
        /// The step.
        step: u64,
        /// The loss.
        loss: f64,
    },
    /// Pictures cannot be read.
    #[error(transparent)]
    Data(#[from] DatasetError),
    /// Shapes cannot be read, made or drawn.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A network cannot be made or loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Pictures do not go through the tokenizer, or codes not back.
    #[error(transparent)]
    Codec(#[from] crate::Error),
    /// Samples cannot be generated.
    #[error(transparent)]
    Generator(#[from] GeneratorError),
    /// Codes of a data set cannot be read or written.
    #[error(transparent)]
    Codes(#[from] TokenFileError),
    /// A report cannot be drawn.
    #[error("the report cannot be drawn: {0}")]
    Report(String),
}
