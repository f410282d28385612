//! Every released FlexTok by name.
//!
//! Sources: arXiv 2502.13967, and a listing of the released d18 configuration; see the numbers that a checkpoint must say
//! itself below.

use super::config::{FlexTokConfig, KeepSampling, LatentConfig, NoiseConfig, SamplingConfig, TrunkConfig, VaeConfig};
use crate::autoencoder_kl;

/// Names that [`FlexTokConfig::preset`] knows.
pub const PRESETS: [&str; 3] = ["flextok-d12-d12", "flextok-d18-d18", "flextok-d18-d28"];

impl FlexTokConfig {
    /// The architecture of a released model, or `None` for an unknown name.
    ///
    /// Names and shapes of its tensors are the release's. `scaling_factor` (1), `sample_posterior` (false), `max_timestep`
    /// (1000), `dropout_prob` (0.1) and the sampling of lengths are placeholders: a release says them in its own file, which
    /// is what loading reads.
    pub fn preset(name: &str) -> Option<Self> {
        Some(match name {
            "flextok-d12-d12" => released(12, 12),
            "flextok-d18-d18" => released(18, 18),
            "flextok-d18-d28" => released(18, 28),
            _ => return None,
        })
    }
}

/// Widths and heads grow with the depth: 64 channels and one head for each block.
fn released(encoder: usize, decoder: usize) -> FlexTokConfig {
    let trunk = |depth: usize, is_causal: bool| TrunkConfig {
        dim: 64 * depth,
        depth,
        head_dim: 64,
        patch: [2, 2],
        max_sizes: [16, 16],
        is_causal,
        mup: None,
    };
    FlexTokConfig {
        vae: VaeConfig {
            architecture: LatentConfig::AutoencoderKl(autoencoder_kl::flextok(16)),
            scaling_factor: Some(1.0),
            sample_posterior: false,
        },
        encoder: trunk(encoder, true),
        decoder: trunk(decoder, false),
        registers: 256,
        levels: vec![8, 8, 8, 5, 5, 5],
        drop_quant_p: 0.0,
        keep: KeepSampling::Pow2,
        null_probability: 0.1,
        time_frequencies: 256,
        max_timestep: 1000.0,
        noise: NoiseConfig { logit_normal: false, stratified: false, mode_scale: 0.25 },
        register_mix: None,
        sampling: SamplingConfig::default(),
    }
}
