//! A mesh to tokens and back: every scale of the tokens more is a finer shape.
//!
//! ```text
//! cargo run --release --example encode_mesh [MODEL [MESH]]
//! ```
//!
//! Without a model a small one with random weights shows the way; its shapes look like nothing.

use std::error::Error;

use burn::tensor::Device;
use tessera::datasets::shape::{ProceduralShapes, load_mesh, save_mesh};
use tessera::tokenizers::vat::VatConfig;
use tessera::tokenizers::{ModelConfig, TokenFile, save_tokens, write_tsr};
use tessera::{DecodeOptions, DeviceChoice, Tokenizer, decode_shape, encode_shape, from_pretrained, scale_ends};

fn main() -> Result<(), Box<dyn Error>> {
    let device = DeviceChoice::Auto.open()?;
    let mut arguments = std::env::args().skip(1);
    let tokenizer = match arguments.next() {
        Some(model) => from_pretrained(&model, &device)?,
        None => small(&device)?,
    };
    let mesh = match arguments.next() {
        Some(path) => load_mesh(path)?,
        None => ProceduralShapes::new(7).shape(0, 65)?.1,
    };

    let file = encode_shape(&*tokenizer, &mesh, 0, &device)?;
    save_tokens("encoded.tsr", &file)?;
    for keep in scale_ends(file.tokens.layout()) {
        let kept = TokenFile::new(file.tokens.clone().prefix(keep)?);
        let bytes = write_tsr(&kept)?.len();
        match decode_shape(&*tokenizer, &kept.tokens, &DecodeOptions::default(), 65) {
            Ok(shape) => {
                save_mesh(format!("decoded-{keep}.ply"), &shape)?;
                println!("{keep:4} tokens, {bytes:4} bytes: {} faces", shape.faces().len());
            }
            Err(tessera::Error::NoSurface { .. }) => println!("{keep:4} tokens, {bytes:4} bytes: no surface"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A VAT that runs in a moment.
fn small(device: &Device) -> Result<Box<dyn Tokenizer>, Box<dyn Error>> {
    let mut config = VatConfig::preset("vat-512b").ok_or("no such preset")?;
    (config.encoder.dim, config.encoder.depth, config.input.num_points) = (64, 2, 1024);
    (config.decoder.dim, config.decoder.depth, config.decoder.plane_tokens) = (64, 2, 8);
    config.triplane.channels = vec![64, 32];
    Ok(ModelConfig::Vat(config).random(0, device)?)
}
