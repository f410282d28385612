//! New pictures token by token, with the small generator of `models/next-token-tiny-64`.
//!
//! ```text
//! cargo run --release --example generate_next_token [-- CAPTION]
//! ```

use std::error::Error;
use std::ops::ControlFlow;

use tessera::datasets::save_png;
use tessera::generators::from_pretrained;
use tessera::{Codec, Condition, DecodeOptions, DeviceChoice, GenerateOptions};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/next-token-tiny-64");

fn main() -> Result<(), Box<dyn Error>> {
    let caption = std::env::args().nth(1).unwrap_or_else(|| "group=smileys style=twemoji grinning face".to_owned());
    let device = DeviceChoice::Auto.open()?;
    let generator = from_pretrained(MODEL, &device)?;
    let codec = Codec::of_generator(generator.info(), None, &device)?;

    let condition = Condition::Captions(vec![caption; 4]);
    let mut options = GenerateOptions::default();
    (options.seed, options.guidance_scale) = (7, Some(3.0));
    let generated = generator.generate(&condition, &options, &mut |step| {
        println!("token {} of {}", step.index + 1, step.of);
        ControlFlow::Continue(())
    })?;
    for (index, picture) in codec.decode(&generated, &DecodeOptions::default())?.iter().enumerate() {
        save_png(format!("generated-{index}.png"), picture)?;
    }
    Ok(())
}
