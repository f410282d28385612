//! xAR: pictures as entities of continuous latents, each solved as a flow after those before it.
//!
//! ```text
//! cargo run --release --example generate_xar [-- MODEL]
//! ```
//!
//! Without a model the built-in one draws four animals.

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Instant;

use tessera::datasets::save_png;
use tessera::generators::from_pretrained;
use tessera::{Codec, Condition, DecodeOptions, DeviceChoice, GenerateOptions, default_generator};

fn main() -> Result<(), Box<dyn Error>> {
    let model = std::env::args().nth(1);
    let device = DeviceChoice::Auto.open()?;
    let generator = match &model {
        Some(model) => from_pretrained(model, &device)?,
        None => default_generator(&device)?,
    };
    let codec = Codec::of_generator(generator.info(), model.as_deref(), &device)?;
    let condition = match &generator.info().words {
        Some(words) => Condition::Captions(words.draw_captions(&["group=animals".to_owned()], 4, 1)),
        None => Condition::Classes(vec![3; 4]),
    };
    println!("{condition:?}");
    let (mut options, start) = (GenerateOptions::default(), Instant::now());
    options.steps = Some(20);
    let latents = generator.generate(&condition, &options, &mut |step| {
        println!("entity {} of {}: {:.2} s", step.index + 1, step.of, start.elapsed().as_secs_f64());
        ControlFlow::Continue(())
    })?;
    for (index, picture) in codec.decode(&latents, &DecodeOptions::default())?.iter().enumerate() {
        save_png(format!("generated-{index}.png"), picture)?;
    }
    Ok(())
}
