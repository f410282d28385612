//! Shapes scale by scale: a next-scale generator's tokens, decoded by a VAT.
//!
//! ```text
//! cargo run --release --example generate_shape [GENERATOR TOKENIZER]
//! ```
//!
//! Without models small ones with random weights show the way; their shapes look like nothing.

use std::error::Error;
use std::ops::ControlFlow;

use burn::tensor::Device;
use tessera::datasets::shape::{RenderOptions, View, render};
use tessera::datasets::{Sheet, save_png};
use tessera::generators::{GeneratorConfig, next_scale};
use tessera::tokenizers::{ModelConfig, vat::VatConfig};
use tessera::{Condition, DecodeOptions, DeviceChoice, GenerateOptions, Generator, Tokenizer, decode_shapes};

type Models = (Box<dyn Generator>, Box<dyn Tokenizer>);

fn main() -> Result<(), Box<dyn Error>> {
    let device = DeviceChoice::Auto.open()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (generator, tokenizer) = match arguments.as_slice() {
        [generator, tokenizer] => {
            let generator = tessera::generators::from_pretrained(generator, &device)?;
            (generator, tessera::from_pretrained(tokenizer, &device)?)
        }
        _ => small(&device)?,
    };
    let condition = match generator.info().classes {
        Some(classes) => Condition::Classes((0..4).map(|sample| sample % classes as u32).collect()),
        None => Condition::Unconditional(4),
    };
    let generated = generator.generate(&condition, &GenerateOptions::default(), &mut |step| {
        println!("scale {} of {}", step.index + 1, step.of);
        ControlFlow::Continue(())
    })?;
    let tokens = generated.into_tokens().ok_or("no tokens")?;
    let mut sheet = Sheet::new();
    for shape in decode_shapes(&*tokenizer, &tokens, &DecodeOptions::default(), 65, &mut |_| {})? {
        let faces = format!("{} faces", shape.faces().len()); // 0: no surface, an empty view
        sheet = sheet.push(render(&shape, View::default(), &RenderOptions::default())?, &[faces]);
    }
    Ok(save_png("generated.png", &sheet.draw()?)?)
}

/// Models that run in a moment.
fn small(device: &Device) -> Result<Models, Box<dyn Error>> {
    let mut vat = VatConfig::preset("vat-512b").ok_or("no such preset")?;
    (vat.decoder.dim, vat.decoder.depth, vat.decoder.plane_tokens) = (64, 2, 8);
    (vat.triplane.channels, vat.encoder.depth) = (vec![64, 32], 1);
    let mut config = next_scale::preset("vat-ar-xs").ok_or("no such preset")?;
    (config.num_latents, config.quantizer) = (vat.num_latents, vat.quantizer.clone());
    (config.ar.dim, config.ar.depth, config.ar.cond_tokens, config.ar.classes) = (64, 2, 0, Some(5));
    Ok((GeneratorConfig::NextScale(config).random(0, device)?, ModelConfig::Vat(vat).random(1, device)?))
}
