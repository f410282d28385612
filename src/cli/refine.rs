//! `--refine`: tokens of shapes that were searched for.

use anyhow::{Result, ensure};
use burn::tensor::Device;
use clap::Args;
use tessera::Tokenizer;
use tessera::datasets::shape::Mesh;
use tessera::tokenizers::vat::RefineOptions;
use tessera::tokenizers::{TokenFile, TokenizerInfo};

/// Whether shapes are encoded in one pass or searched for.
#[derive(Args)]
pub struct RefineArguments {
    /// Shapes: go on from the encoder's tokens for so many steps to some that decode nearer to the mesh. As many bytes, better shapes; a
    /// step takes about as long as encoding.
    #[arg(long, value_name = "STEPS", default_value_t = 0)]
    refine: usize,
}

impl RefineArguments {
    /// Tokens of a mesh.
    pub fn encode(&self, tokenizer: &dyn Tokenizer, mesh: &Mesh, seed: u64, device: &Device) -> Result<TokenFile> {
        Ok(match self.refine {
            0 => tessera::encode_shape(tokenizer, mesh, seed, device)?,
            steps => {
                let options = RefineOptions { steps, seed, ..RefineOptions::default() };
                tessera::refine_shape(tokenizer, mesh, seed, &options, device)?
            }
        })
    }

    /// Refuses the flag beside a model of pictures.
    pub fn refuse(&self, info: &TokenizerInfo) -> Result<()> {
        let architecture = info.architecture;
        ensure!(self.refine == 0, "--refine: {architecture} encodes pictures, in one pass; leave it out");
        Ok(())
    }
}
