//! Token-Shuffle: windows of 1, 4 and 16 tokens as one position of the same trunk, and what that saves.
//!
//! ```text
//! cargo run --release --example generate_token_shuffle
//! ```

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Instant;

use tessera::generators::GeneratorConfig;
use tessera::generators::token_shuffle::preset;
use tessera::{Condition, DeviceChoice, GenerateOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let device = DeviceChoice::Auto.open()?;
    for window in [1, 2, 4] {
        let mut config = preset("token-shuffle-2.7b-1024").ok_or("no such preset")?;
        (config.dim, config.n_layers, config.n_heads, config.n_kv_heads) = (192, 3, 6, 6); // small, to run in a moment
        (config.ffn_hidden, config.text_vocab, config.image_vocab) = (512, 64, 1024);
        (config.window, config.grid) = (window, Some([16, 16]));
        let generator = GeneratorConfig::TokenShuffle(config).random(0, &device)?;
        let (start, mut positions) = (Instant::now(), 0);
        let condition = Condition::Unconditional(1);
        let generated = generator.generate(&condition, &GenerateOptions::default(), &mut |step| {
            positions = step.index + 1;
            ControlFlow::Continue(())
        })?;
        let tokens = generated.into_tokens().ok_or("no tokens")?;
        let seconds = start.elapsed().as_secs_f64();
        println!("window {window}: {} tokens as {positions} positions, {seconds:.2} s", tokens.positions());
    }
    Ok(())
}
