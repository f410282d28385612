//! What can be wrong with a model's configuration.

/// A configuration that no model can be made from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A key has a value that does not fit.
    #[error("config key \"{key}\": expected {expected}, found {found}")]
    Invalid {
        /// The key, dotted.
        key: String,
        /// What would fit.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// The file does not describe a model that this version knows.
    #[error("unknown architecture: {0}")]
    UnknownArchitecture(String),
    /// A known variant that is not built.
    #[error("{0}")]
    Unsupported(String),
}

impl ConfigError {
    /// [`ConfigError::Invalid`] of these words.
    pub fn invalid(key: &str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Invalid { key: key.to_owned(), expected: expected.into(), found: found.into() }
    }
}
