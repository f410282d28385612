//! xAR: pictures as entities of continuous latents, each solved as a flow after those before it.
//!
//! ```text
//! cargo run --release --example generate_xar [MODEL]
//! ```
//!
//! Without a model a small one with random weights shows the five sorts of entities and what each costs.

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Instant;

use tessera::datasets::save_png;
use tessera::generators::{GeneratorConfig, from_pretrained, xar};
use tessera::{Codec, Condition, DecodeOptions, DeviceChoice, GenerateOptions, Generated};

fn main() -> Result<(), Box<dyn Error>> {
    let device = DeviceChoice::Auto.open()?;
    if let Some(model) = std::env::args().nth(1) {
        let generator = from_pretrained(&model, &device)?;
        let codec = Codec::of_generator(generator.info(), Some(&model), &device)?;
        let (condition, options) = (Condition::Unconditional(4), GenerateOptions::default());
        let latents = generator.generate(&condition, &options, &mut |_| ControlFlow::Continue(()))?;
        for (index, picture) in codec.decode(&latents, &DecodeOptions::default())?.iter().enumerate() {
            save_png(format!("generated-{index}.png"), picture)?;
        }
        return Ok(());
    }
    for entity in ["patch", "cell", "subsample", "scale", "image"] {
        let mut config = xar::preset("xar-b").ok_or("no such preset")?;
        (config.encoder_embed_dim, config.decoder_embed_dim) = (96, 96); // small, to run in a moment
        (config.encoder_depth, config.decoder_depth, config.class_num) = (2, 2, 10);
        (config.encoder_num_heads, config.decoder_num_heads) = (4, 4);
        (config.grid, config.entity) = (Some(xar::Sides::Square(8)), entity.to_owned());
        config.subsample_distance = Some(xar::Sides::Square(4));
        let generator = GeneratorConfig::Xar(config).random(0, &device)?;
        let (mut options, start, mut entities) = (GenerateOptions::default(), Instant::now(), 0);
        (options.steps, options.guidance_scale) = (Some(10), Some(2.0));
        let generated = generator.generate(&Condition::Classes(vec![3]), &options, &mut |step| {
            entities = step.index + 1;
            ControlFlow::Continue(())
        })?;
        let Generated::Latents(latents) = generated else { return Err("no latents".into()) };
        let (shape, seconds) = (latents.vectors.dims(), start.elapsed().as_secs_f64());
        println!("{entity}: latents {shape:?} in {entities} entities of 10 steps, {seconds:.2} s");
    }
    Ok(())
}
