//! The section `[validation]`: pictures to judge by.

use clap::Args;
use serde::{Deserialize, Serialize};
use tessera_datasets::DataSource;

use super::data::parse_source;

/// Pictures to judge by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Validation")]
pub struct ValidationConfig {
    /// Pictures that are never learnt from, written as --data.
    #[arg(long = "validation", value_name = "SOURCE", value_parser = parse_source)]
    pub source: Option<DataSource>,
    /// Steps between validations; the last step always makes one.
    #[arg(long, value_name = "N")]
    pub validate_every: u64,
    /// Pictures of a validation.
    #[arg(long, value_name = "N")]
    pub validation_pictures: usize,
    /// Pictures of a sample sheet.
    #[arg(long, value_name = "N")]
    pub sample_pictures: usize,
}

impl Default for ValidationConfig {
    fn default() -> Self {
        Self { source: None, validate_every: 500, validation_pictures: 128, sample_pictures: 8 }
    }
}
