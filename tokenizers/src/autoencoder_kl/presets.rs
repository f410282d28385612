//! Released configurations by name.

use super::AutoencoderKlConfig;

/// The autoencoders that were released beside FlexTok: 8 pixels a cell, by number of latent channels.
pub const PRESETS: [&str; 3] = ["flextok-vae-c4", "flextok-vae-c8", "flextok-vae-c16"];

/// The autoencoder of FlexTok with this many latent channels. It has no scaling factor of its own.
pub fn flextok(latent_channels: usize) -> AutoencoderKlConfig {
    AutoencoderKlConfig {
        block_out_channels: vec![128, 256, 512, 512],
        down_block_types: vec!["DownEncoderBlock2D".to_owned(); 4],
        up_block_types: vec!["UpDecoderBlock2D".to_owned(); 4],
        layers_per_block: 2,
        latent_channels,
        scaling_factor: None,
        ..AutoencoderKlConfig::default()
    }
}

impl AutoencoderKlConfig {
    /// The configuration of a released model, or `None` for an unknown name.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "flextok-vae-c4" => Some(flextok(4)),
            "flextok-vae-c8" => Some(flextok(8)),
            "flextok-vae-c16" => Some(flextok(16)),
            _ => None,
        }
    }
}
