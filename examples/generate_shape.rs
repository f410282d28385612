//! Shapes scale by scale: a next-scale generator's tokens, decoded by a VAT.
//!
//! ```text
//! cargo run --release --example generate_shape [GENERATOR TOKENIZER]
//! ```
//!
//! Without models the small ones that are built in.

use std::error::Error;
use std::ops::ControlFlow;

use tessera::datasets::shape::{RenderOptions, View, render};
use tessera::datasets::{Sheet, save_png};
use tessera::{
    Condition, DecodeOptions, DeviceChoice, GenerateOptions, decode_shapes, default_shape_generator,
    default_shape_tokenizer,
};

fn main() -> Result<(), Box<dyn Error>> {
    let device = DeviceChoice::Auto.open()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (generator, tokenizer) = match arguments.as_slice() {
        [generator, tokenizer] => {
            let generator = tessera::generators::from_pretrained(generator, &device)?;
            (generator, tessera::from_pretrained(tokenizer, &device)?)
        }
        _ => (default_shape_generator(&device)?, default_shape_tokenizer(&device)?),
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
