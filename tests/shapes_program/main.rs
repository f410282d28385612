//! Shapes through the program: encode, decode, reconstruct, generate and eval with small random models and the built-in ones, and wrong input.

#[path = "../common/mod.rs"]
mod common;

mod evaluation;
mod meshes;
mod models;
mod refusals;
mod samples;
