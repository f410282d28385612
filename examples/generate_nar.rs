//! A NAR, neighbour by neighbour: one pass for each anti-diagonal of the grid, beside one for each token.
//!
//! Weights are random unless a checkpoint is given, which is a released one's file with a `config.json` beside it.
//!
//! ```text
//! cargo run --release --example generate_nar [-- CHECKPOINT]
//! ```

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Instant;

use tessera::generators::{GeneratorConfig, from_pretrained, nar, next_token};
use tessera::{Condition, DeviceChoice, GenerateOptions, Generator};

fn main() -> Result<(), Box<dyn Error>> {
    let device = DeviceChoice::Auto.open()?;
    let mut models: Vec<Box<dyn Generator>> = Vec::new();
    match std::env::args().nth(1) {
        Some(checkpoint) => models.push(from_pretrained(&checkpoint, &device)?),
        None => {
            for preset in [next_token::preset("llamagen-b-256"), nar::preset("nar-b-256")] {
                let mut config = preset.ok_or("no such preset")?;
                (config.n_layer, config.block_size) = (2, 64); // small, to run in a moment
                models.push(GeneratorConfig::Decoder(config).random(0, &device)?);
            }
        }
    }
    for model in models {
        let (start, mut passes) = (Instant::now(), 0);
        let condition = Condition::Classes(vec![207]);
        let generated = model.generate(&condition, &GenerateOptions::default(), &mut |step| {
            passes = step.index + 1;
            ControlFlow::Continue(())
        })?;
        let tokens = generated.into_tokens().ok_or("no tokens")?;
        let seconds = start.elapsed().as_secs_f64();
        println!("{}: {} tokens in {passes} passes, {seconds:.2} s", model.info().architecture, tokens.positions());
    }
    Ok(())
}
