//! A NAR, neighbour by neighbour: one pass for each anti-diagonal of the grid, beside next-token's pass for each token.
//!
//! ```text
//! cargo run --release --example generate_nar [-- MODEL...]
//! ```

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Instant;

use tessera::datasets::save_png;
use tessera::generators::from_pretrained;
use tessera::{Codec, Condition, DecodeOptions, DeviceChoice, GenerateOptions, Generated};

const MODELS: [&str; 2] = ["nar-tiny-64", "next-token-tiny-64"];

fn main() -> Result<(), Box<dyn Error>> {
    let device = DeviceChoice::Auto.open()?;
    let mut models: Vec<String> = std::env::args().skip(1).collect();
    if models.is_empty() {
        models = MODELS.map(|name| format!("{}/models/{name}", env!("CARGO_MANIFEST_DIR"))).to_vec();
    }
    for model in models {
        let generator = from_pretrained(&model, &device)?;
        let codec = Codec::of_generator(generator.info(), Some(&model), &device)?;
        let name = generator.info().architecture;
        let condition = match &generator.info().words {
            Some(words) => Condition::Captions(words.draw_captions(&["group=animals".to_owned()], 4, 1)),
            None => Condition::Classes(vec![207; 4]),
        };
        let (start, mut passes) = (Instant::now(), 0);
        let generated = generator.generate(&condition, &GenerateOptions::default(), &mut |step| {
            passes = step.index + 1;
            ControlFlow::Continue(())
        })?;
        let seconds = start.elapsed().as_secs_f64();
        let Generated::Tokens(tokens) = &generated else { return Err("no tokens".into()) };
        println!("{name}: four pictures of {} tokens in {passes} passes, {seconds:.2} s", tokens.positions());
        for (index, picture) in codec.decode(&generated, &DecodeOptions::default())?.iter().enumerate() {
            save_png(format!("{name}-{index}.png"), picture)?;
        }
    }
    Ok(())
}
