//! The section `[shape]`: what a 3D tokenizer learns from, and how.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// What a 3D tokenizer learns from, and how. Without a folder of meshes, from an endless set of procedural shapes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Shapes")]
pub struct ShapeSection {
    /// Which training of a VAT. The second usually starts --from the model of the first, with one of --free-steps, so that
    /// the codebook starts from latents; or does the first itself as its --free-steps.
    #[arg(id = "shape_stage", long = "shape-stage", value_name = "STAGE")]
    pub stage: ShapeStage,
    /// Folder of meshes (PLY, OBJ, STL, glTF) to learn from; procedural shapes where absent.
    #[arg(long, value_name = "FOLDER")]
    pub meshes: Option<PathBuf>,
    /// CSV table of the meshes' classes, for generators: a column `file` with paths within the folder, or `name` with file names without
    /// endings, and the class's (--mesh-class-column). Meshes without a row are of no class. Where absent, sub-folders are classes.
    #[arg(long, value_name = "FILE")]
    pub mesh_labels: Option<PathBuf>,
    /// The column of that table that holds the class.
    #[arg(long, value_name = "COLUMN")]
    pub mesh_class_column: String,
    /// Share of the examples that are meshes, where there are any; the others are procedural shapes.
    #[arg(long, value_name = "SHARE")]
    pub mesh_share: f64,
    /// Turn meshes by quarters about the upright axis (y) and mirror them, another way each time round.
    #[arg(long)]
    pub turn_meshes: bool,
    /// Points of a surface that are encoded; the number that the architecture names where absent.
    #[arg(long = "shape-points", value_name = "N")]
    pub points: Option<usize>,
    /// Places of a shape, uniform in the cube from -1 to 1, whose occupancy is learnt.
    #[arg(long, value_name = "N")]
    pub volume_queries: usize,
    /// Places of a shape near its surface whose occupancy is learnt.
    #[arg(long, value_name = "N")]
    pub near_queries: usize,
    /// Deviations of the places near the surface from it, taken in turn; the longest half of a shape is 0.95.
    #[arg(long, value_delimiter = ',', value_name = "X,...")]
    pub near_deviations: Vec<f64>,
    /// Samples along a side of the lattice on which surfaces of procedural shapes are found; 64 shows every part.
    #[arg(long, value_name = "N")]
    pub lattice: usize,
    /// Share of the passes with the encoder's tokens whose decoder is shown the first scales alone (1 to all but the last), for coarse prefixes to
    /// decode.
    #[arg(id = "shape_prefix_probability", long = "shape-prefix-probability", value_name = "SHARE")]
    pub prefix_probability: f64,
    /// In the stage searched: batches that are searched for in turn.
    #[arg(long, value_name = "N")]
    pub search_batches: usize,
    /// In the stage searched: steps of the search for a batch's tokens, before another batch takes its place; many teach the decoder these shapes by heart.
    #[arg(long, value_name = "N")]
    pub search_steps: usize,
    /// In the stage searched: share of the passes that show the encoder's tokens, for the decoder not to forget what it makes of them.
    #[arg(long, value_name = "SHARE")]
    pub encoded_share: f64,
    /// Weight of the cross-entropy of places near the surface; as the architecture says where absent.
    #[arg(long, value_name = "X")]
    pub near_weight: Option<f64>,
    /// Weight of the divergence of latents from the standard normal; as the architecture says where absent.
    #[arg(id = "shape_kl_weight", long = "shape-kl-weight", value_name = "X")]
    pub kl_weight: Option<f64>,
    /// Weight of the quantizer's loss, beside --quantizer-weight; as the architecture says where absent.
    #[arg(long, value_name = "X")]
    pub vq_weight: Option<f64>,
    /// Folder of meshes that are never learnt from, to judge by; procedural shapes of a seed of their own where absent.
    #[arg(long, value_name = "FOLDER")]
    pub validation_meshes: Option<PathBuf>,
    /// Places of a held-out shape at which the IoU is measured.
    #[arg(long, value_name = "N")]
    pub validation_places: usize,
    /// Samples along a side of the lattice on which surfaces on a sample sheet are found.
    #[arg(long, value_name = "N")]
    pub sample_lattice: usize,
}

/// Which training of a VAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ShapeStage {
    /// The first: encoder and decoder, with latents as they are.
    Continuous,
    /// The second: everything, with the quantizer between them.
    Quantized,
    /// Behind both: the decoder alone, on tokens that are searched for while it learns, as `--refine` searches. Encoder and quantizer stay, and with
    /// them the tokens.
    Searched,
}

impl Default for ShapeSection {
    fn default() -> Self {
        Self {
            stage: ShapeStage::Continuous,
            meshes: None,
            mesh_labels: None,
            mesh_class_column: "category".to_owned(),
            mesh_share: 1.0,
            turn_meshes: false,
            points: None,
            volume_queries: 1024,
            near_queries: 1024,
            near_deviations: vec![0.02, 0.05],
            lattice: 64,
            prefix_probability: 0.0,
            search_batches: 16,
            search_steps: 16,
            encoded_share: 0.4,
            near_weight: None,
            kl_weight: None,
            vq_weight: None,
            validation_meshes: None,
            validation_places: 8192,
            sample_lattice: 48,
        }
    }
}
