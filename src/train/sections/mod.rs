//! The sections of a configuration, a file each: their fields, defaults and flags.

mod codebook;
mod data;
mod generator;
mod loss;
mod model;
mod optimizer;
mod run;
mod shape;
mod validation;

pub use codebook::CodebookConfig;
pub use data::{DataConfig, parse_source};
pub use generator::GeneratorSection;
pub use loss::{AdversarialBalance, DiscriminatorKind, LossConfig, Stage};
pub use model::{ModelSection, Start};
pub use optimizer::{MatrixOptimizer, OptimizerConfig};
pub use run::{RunConfig, SavePrecision};
pub use shape::{ShapeSection, ShapeStage};
pub use validation::ValidationConfig;
