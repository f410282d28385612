//! A picture whose first tokens stay, completed in four ways.
//!
//! ```text
//! cargo run --release --example complete_image [-- PICTURE [KEPT TOKENS]]
//! ```

use std::error::Error;
use std::ops::ControlFlow;

use tessera::datasets::{load_picture, save_png};
use tessera::generators::from_pretrained;
use tessera::{Codec, Condition, DecodeOptions, DeviceChoice, GenerateOptions, given_part};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/next-token-tiny-64");

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "examples/data/photo.jpg".to_owned());
    let keep = arguments.next().map(|keep| keep.parse()).transpose()?.unwrap_or(16);
    let device = DeviceChoice::Auto.open()?;
    let generator = from_pretrained(MODEL, &device)?;
    let codec = Codec::of_generator(generator.info(), None, &device)?;

    let picture = load_picture(path, &Default::default())?;
    let mut options = GenerateOptions::default();
    options.given = Some(given_part(&codec, &picture, Some(keep), None, &device)?);
    let generated = generator.generate(&Condition::Unconditional(4), &options, &mut |_| ControlFlow::Continue(()))?;
    for (index, picture) in codec.decode(&generated, &DecodeOptions::default())?.iter().enumerate() {
        save_png(format!("completed-{index}.png"), picture)?;
    }
    Ok(())
}
