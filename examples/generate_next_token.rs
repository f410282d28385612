//! New pictures token by token, with the built-in generator.
//!
//! ```text
//! cargo run --release --example generate_next_token [-- CAPTION]
//! ```

use std::error::Error;
use std::ops::ControlFlow;

use tessera::datasets::save_png;
use tessera::{Codec, Condition, DecodeOptions, DeviceChoice, GenerateOptions, default_generator};

fn main() -> Result<(), Box<dyn Error>> {
    let caption = std::env::args().nth(1).unwrap_or_else(|| "group=smileys style=twemoji grinning face".to_owned());
    let device = DeviceChoice::Auto.open()?;
    let generator = default_generator(&device)?;
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
