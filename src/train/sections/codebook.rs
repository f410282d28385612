//! The section `[codebook]`: care for the codebook.

use clap::Args;
use serde::{Deserialize, Serialize};

/// Care for the codebook. The released recipes do none of this.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Codebook")]
pub struct CodebookConfig {
    /// Steps at the start that train without quantizing; then the codebook starts from latents.
    #[arg(long, value_name = "N")]
    pub free_steps: u64,
    /// Steps between moves of dead codes onto latents; 0 never moves one.
    #[arg(long, value_name = "N")]
    pub reseed_every: u64,
    /// Last step that moves codes; 0 for all steps.
    #[arg(long, value_name = "STEP")]
    pub reseed_until: u64,
}
