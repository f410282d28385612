//! The section `[data]`: pictures to learn from.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use tessera_datasets::DataSource;

/// Pictures to learn from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Data")]
pub struct DataConfig {
    /// Folder, tar or shards of pictures, or all settings of a source as {path = "...", crop = "random", ...}; may be
    /// repeated.
    #[arg(long = "data", value_name = "SOURCE", value_parser = parse_source)]
    pub sources: Vec<DataSource>,
    /// End at the first unreadable picture, instead of passing it over.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub strict: bool,
    /// Threads that read and decode; 0 leaves the number to the system.
    #[arg(long, value_name = "N")]
    pub workers: usize,
    /// Batches read ahead.
    #[arg(long, value_name = "N")]
    pub prefetch: usize,
    /// Memory for decoded pictures, in MiB.
    #[arg(long, value_name = "MIB")]
    pub cache_mib: usize,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { sources: Vec::new(), strict: false, workers: 1, prefetch: 4, cache_mib: 512 }
    }
}

/// Reads a data source from text: a path, or a table of settings in TOML as a configuration file would hold it.
///
/// # Errors
/// What is wrong with the table, in words.
pub fn parse_source(text: &str) -> Result<DataSource, String> {
    if !text.trim_start().starts_with('{') {
        return Ok(DataSource { path: PathBuf::from(text), ..DataSource::default() });
    }
    #[derive(Deserialize)]
    struct Line {
        source: DataSource,
    }
    toml::from_str::<Line>(&format!("source = {text}"))
        .map(|line| line.source)
        .map_err(|error| error.message().to_owned())
}
