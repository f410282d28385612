//! Every released MaskGIT generator by name.
//!
//! Sources: `configs/training/generator/maskgit_one-d-piece_{s,b,l}256.yaml` and the settings table of
//! turingmotors/One-D-Piece at 473665d1; `config.json` and README of the TiTok generators (bytedance/1d-tokenizer at
//! 942a96fb).

use super::{GuidanceDecay, MaskGitConfig, ModelType, SamplingConfig};

/// Names that [`MaskGitConfig::preset`] knows.
pub const PRESETS: [&str; 6] = [
    "maskgit-one-d-piece-s-256",
    "maskgit-one-d-piece-b-256",
    "maskgit-one-d-piece-l-256",
    "titok-generator-l32",
    "titok-generator-b64",
    "titok-generator-s128-uvit",
];

impl MaskGitConfig {
    /// Sizes and sampling settings of a released generator, or `None` for an unknown name.
    pub fn preset(name: &str) -> Option<(Self, SamplingConfig)> {
        let one_d_piece =
            |temperature, scale| (bert(256), sampling(16, GuidanceDecay::PowerCosine, temperature, scale));
        Some(match name {
            "maskgit-one-d-piece-s-256" => one_d_piece(3.0, 12.5),
            "maskgit-one-d-piece-b-256" => one_d_piece(2.5, 8.5),
            "maskgit-one-d-piece-l-256" => one_d_piece(3.0, 5.5),
            "titok-generator-l32" => (bert(32), annealed(sampling(8, GuidanceDecay::Linear, 9.5, 4.5))),
            "titok-generator-b64" => (bert(64), annealed(sampling(8, GuidanceDecay::Linear, 11.0, 3.0))),
            "titok-generator-s128-uvit" => {
                let uvit = Self {
                    model_type: ModelType::UViT,
                    hidden_size: 1024,
                    num_hidden_layers: 20,
                    intermediate_size: 4096,
                    ..bert(128)
                };
                (uvit, annealed(sampling(64, GuidanceDecay::PowerCosine, 2.8, 6.9)))
            }
            _ => return None,
        })
    }
}

fn bert(tokens: usize) -> MaskGitConfig {
    MaskGitConfig {
        model_type: ModelType::ViT,
        hidden_size: 768,
        num_hidden_layers: 24,
        num_attention_heads: 16,
        intermediate_size: 3072,
        condition_num_classes: 1000,
        image_seq_len: tokens,
        codebook_size: 4096,
    }
}

fn sampling(steps: usize, decay: GuidanceDecay, temperature: f32, scale: f32) -> SamplingConfig {
    SamplingConfig {
        guidance_scale: scale,
        guidance_decay: decay,
        randomize_temperature: temperature,
        num_sample_steps: steps,
        ..SamplingConfig::default()
    }
}

fn annealed(sampling: SamplingConfig) -> SamplingConfig {
    SamplingConfig { softmax_temperature_annealing: true, ..sampling }
}
