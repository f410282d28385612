//! The `tessera` program: one file for each subcommand.

mod common;
mod counts;
mod decode;
mod decode_shapes;
mod devices;
mod encode;
mod encode_shapes;
mod eval;
mod eval_neighbours;
mod eval_samples;
mod eval_shape_model;
mod eval_shapes;
mod flow;
mod generate;
mod generate_condition;
mod generate_sampling;
mod generate_shapes;
mod inputs;
mod inspect;
mod inspect_mesh;
mod judges;
mod output;
mod reconstruct;
mod reconstruct_shape;
mod refine;
mod train;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use common::Common;

/// Images and shapes to few tokens and back, and new ones.
#[derive(Parser)]
#[command(
    name = "tessera",
    version,
    about,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 a check failed, 2 wrong input or usage.\n\
                  Environment: TESSERA_KERNELS=off runs the reference operations instead of tessera's kernels; \
                  RAYON_NUM_THREADS limits the CPU threads."
)]
struct Program {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Pictures or meshes to token files.
    Encode(encode::Arguments),
    /// Token files back to pictures or meshes.
    Decode(decode::Arguments),
    /// One picture of the original and its reconstructions at several token counts.
    Reconstruct(reconstruct::Arguments),
    /// Quality, rate and codebook usage over a set of pictures, beside JPEG and WebP.
    Eval(Box<eval::Arguments>),
    /// New pictures or shapes, from a class, a style, a caption or a part of a picture.
    Generate(Box<generate::Arguments>),
    /// Trains a tokenizer or a generator.
    Train(Box<train::Arguments>),
    /// What a model, weight file or token file holds; writes random models too.
    Inspect(inspect::Arguments),
    /// Runs conformance cases recorded from official implementations.
    Verify(verify::Arguments),
    /// Adapters, limits, kernel language and active kernels.
    Devices,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let Program { common, command } = Program::parse();
    let done = match &command {
        Command::Encode(arguments) => encode::run(arguments, &common),
        Command::Decode(arguments) => decode::run(arguments, &common),
        Command::Reconstruct(arguments) => reconstruct::run(arguments, &common),
        Command::Eval(arguments) => eval::run(arguments, &common),
        Command::Generate(arguments) => generate::run(arguments, &common),
        Command::Train(arguments) => train::run(arguments, &common),
        Command::Inspect(arguments) => inspect::run(arguments, &common),
        Command::Verify(arguments) => verify::run(arguments, &common),
        Command::Devices => devices::run(),
    };
    output::finish(done, &common)
}
