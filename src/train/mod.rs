//! Training of tokenizers and generators: `tessera train` as a library.
//!
//! ```text
//! data sources ─▶ loader (decodes ahead) ─▶ batch ─▶ network ─▶ losses ─▶ gradients ─▶ clip ─▶ AdamW/Muon ─▶ averaged weights
//!                                                       ▲                                                │
//!                                                       └── dead codes moved onto latents        checkpoints, metrics,
//!                                                                                                 validation, report
//! ```
//!
//! Tokenizers learn from pictures, generators from [`codes`]: pictures or shapes that a tokenizer encoded once. A tokenizer of shapes
//! learns from meshes, or from an endless set of procedural shapes ([`ShapeFeed`]).
//!
//! A run is a folder. It holds `train.toml` (the settings), `metrics.jsonl`, `report.html`, `samples/`, `checkpoints/` and, at
//! the end, the model: `config.json` and `model.safetensors` with averaged weights. A run that was stopped at any
//! moment goes on from its last checkpoint, and ends with the weights that it would have had.
//!
//! Every draw of chance follows from the seed, the step and what it is for; nothing is kept between steps.

mod adversary;
mod alignment;
mod architecture;
mod autoencoder_kl;
mod balance;
mod chart;
pub mod checkpoint;
pub mod codebook;
pub mod codes;
mod config;
mod decoder;
mod dualtoken;
mod ema;
mod error;
mod feed;
mod flextok;
mod generator;
mod llamagen_vq;
mod metrics;
mod muon;
mod next_scale;
mod objective;
mod objectives;
mod on_pictures;
mod one_d_piece;
mod optimizer;
mod parameters;
mod perceptual;
mod report;
pub mod schedule;
mod searches;
mod sections;
mod seed_pixels;
mod shape_codes;
mod shape_feed;
mod shape_rounds;
mod shape_source;
mod shape_validation;
mod teacher;
mod token_noise;
mod token_shuffle;
mod tokenflow;
mod tokenflow_t2i;
mod tower;
mod trainer;
mod training;
mod training_codes;
mod validation;
mod vat;
mod window;
mod xar;

pub use autoencoder_kl::AutoencoderKlObjective;
pub use config::TrainConfig;
pub use decoder::DecoderObjective;
pub use dualtoken::DualTokenObjective;
pub use error::TrainError;
pub use flextok::{FlexTokObjective, FlexTokTraining};
pub use generator::{GeneratorLosses, GeneratorObjective, OnCodes};
pub use llamagen_vq::LlamaGenVqObjective;
pub use metrics::{Line, TrainLine, ValidationLine};
pub use next_scale::NextScaleObjective;
pub use objective::{Losses, Objective};
pub use one_d_piece::OneDPieceObjective;
pub use sections::{
    AdversarialBalance, CodebookConfig, DataConfig, DiscriminatorKind, GeneratorSection, LossConfig, MatrixOptimizer,
    ModelSection, OptimizerConfig, RunConfig, SavePrecision, ShapeSection, ShapeStage, Stage, Start, ValidationConfig,
    parse_source,
};
pub use seed_pixels::SeedPixelsObjective;
pub use shape_feed::{ShapeBatch, ShapeFeed};
pub use shape_source::{Meshes, ShapeSource, Solids};
pub use token_shuffle::TokenShuffleObjective;
pub use tokenflow::TokenFlowObjective;
pub use tokenflow_t2i::TokenFlowT2iObjective;
pub use tower::{Tower, TowerObjective, TowerTraining};
pub use trainer::{Event, Summary, train};
pub use training_codes::{CodesOf, TrainingCodes};
pub use validation::token_counts;
pub use vat::VatTraining;
pub use xar::XarObjective;
