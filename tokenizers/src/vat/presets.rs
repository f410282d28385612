//! Sizes by name.
//!
//! Of the paper (arXiv 2412.02202) are the schedules of tokens behind `vat-paper-*` and the numbers of points, layers and channels
//! of its predecessor (arXiv 2409.06322); width of the codes, codebooks and decoder are tessera's choice, as neither states them.

use super::{LossConfig, OccupancyConfig, PlaneTowerConfig, PointsConfig, TowerConfig, TriplaneConfig, VatConfig};
use crate::quantizers::ScaleQuantizerConfig;
use crate::quantizers::scales::Resample;

/// Names that [`VatConfig::preset`] knows.
pub const PRESETS: [&str; 4] = ["vat-512b", "vat-paper-256", "vat-paper-576", "vat-paper-1024"];

/// The sides of VAR's scales, squared: the paper's schedule up to 256 tokens.
const SQUARES: [usize; 10] = [1, 4, 9, 16, 25, 36, 64, 100, 169, 256];

impl VatConfig {
    /// The configuration of this name, with or without `vat-` before it; `None` for an unknown one.
    pub fn preset(name: &str) -> Option<Self> {
        let squares = |more: &[usize]| [SQUARES.as_slice(), more].concat();
        let (scales, codebook_size) = match name.strip_prefix("vat-").unwrap_or(name) {
            "512b" => ((0..9).map(|scale| 1 << scale).collect(), 256),
            "paper-256" => (squares(&[]), 256),
            "paper-576" => (squares(&[576]), 8192),
            "paper-1024" => (squares(&[576, 1024]), 16_384),
            _ => return None,
        };
        let tower = |depth| TowerConfig { dim: 512, depth, heads: 8, mlp_ratio: 4.0 };
        let TowerConfig { dim, depth, heads, mlp_ratio } = tower(16);
        Some(Self {
            model_type: "vat".to_owned(),
            num_latents: scales.last().copied().unwrap_or(1),
            latent_dim: 16,
            input: PointsConfig::default(),
            encoder: tower(12),
            quantizer: ScaleQuantizerConfig {
                scales,
                codebook_size,
                resample: Resample::Linear1d,
                quant_resi: 0.5,
                share_quant_resi: 4,
                znorm: false,
                beta: 0.25,
            },
            decoder: PlaneTowerConfig { dim, depth, heads, mlp_ratio, plane_tokens: 32 },
            triplane: TriplaneConfig {
                channels: vec![512, 256, 128, 64],
                out_channels: 32,
                norm_groups: 32,
                bounds: 1.0,
            },
            occupancy: OccupancyConfig { hidden: 64, layers: 5 },
            loss: LossConfig::default(),
        })
    }
}
