//! FlexTok d12-d12 at full size: cold and warm seconds of encode and decode of a 256x256 picture, and peak memory.
//!
//!     cargo bench --no-default-features --bench flextok -- [--tokens 256] [--steps 20] [--repeat 5]
//!         [--save FOLDER | --model FOLDER]
//!
//! Decoding is guided as the release recommends: scale 7.5, projected. `velocity_warm_s` is one such step: a conditional and
//! an unconditional velocity. Prints one JSON line with the keys of `benches/peers/flextok.py`, the same network in PyTorch.
//! Weights are random; `--save` writes them as a checkpoint and stops, `--model` opens such a checkpoint, which is what a
//! user's cold start is.

mod common;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use common::{Anything, arguments, report, timed};
use tessera_layers::checkpoint::{Weights, locate};
use tessera_tokenizers::flextok::{self, FlexTok, FlexTokConfig};
use tessera_tokenizers::{DecodeOptions, Input, ModelConfig, Tokenizer as _, Tokens, config_of};

const PRESET: &str = "flextok-d12-d12";

fn main() -> Result<(), Anything> {
    let start = Instant::now();
    let options = Options::read()?;
    let device = Device::flex();
    if let Some(folder) = &options.save {
        return save(folder);
    }
    let tokenizer = match &options.model {
        Some(folder) => open(folder, &device)?,
        None => flextok::random(&FlexTokConfig::preset(PRESET).ok_or("no such preset")?, 0, &device)?,
    };
    let build = start.elapsed().as_secs_f64();
    let image = Tensor::<4>::random([1, 3, 256, 256], Distribution::Uniform(0.0, 1.0), &device);
    let image = Input::Images(image);

    let (tokens, encode) = timed(options.repeat, || Ok(tokenizer.encode(&image)?))?;
    let mut decoding = DecodeOptions::prefix(options.tokens);
    decoding.flow.steps = Some(options.steps);
    let (_, decode) = timed(options.repeat, || {
        let image = tokenizer.decode(&tokens, &decoding)?.into_images().ok_or("no picture")?;
        Ok(image.into_data())
    })?;
    decoding.flow.steps = Some(1);
    let (latents, velocity) = timed(options.repeat, || sample(&tokenizer, &tokens, &decoding))?;
    let (_, picture) = timed(options.repeat, || Ok(tokenizer.pictures(latents.clone()).into_data()))?;
    let seconds = [
        ("build_s", build),
        ("encode_cold_s", encode[0]),
        ("encode_warm_s", encode[1]),
        ("decode_cold_s", decode[0]),
        ("decode_warm_s", decode[1]),
        ("velocity_warm_s", velocity[1]),
        ("vae_decode_warm_s", picture[1]),
    ];
    report(&seconds, tokenizer.info().parameters);
    Ok(())
}

/// Sampled latents.
fn sample(tokenizer: &FlexTok, tokens: &Tokens, options: &DecodeOptions) -> Result<Tensor<4>, Anything> {
    Ok(tokenizer.sample(tokens, options, None, &mut |_| ControlFlow::Continue(()))?)
}

fn open(folder: &Path, device: &Device) -> Result<FlexTok, Anything> {
    let files = locate(&folder.to_string_lossy())?;
    let weights = Weights::open(&files.weights)?;
    match config_of(&files, &weights)? {
        ModelConfig::FlexTok(config) => Ok(flextok::load(&config, &weights, device)?),
        _ => Err(format!("{}: not a FlexTok", folder.display()).into()),
    }
}

fn save(folder: &Path) -> Result<(), Anything> {
    std::fs::create_dir_all(folder)?;
    let config = ModelConfig::preset(PRESET).ok_or("no such preset")?;
    std::fs::write(folder.join("config.json"), config.to_value().to_string())?;
    Ok(config.write_random(0, &folder.join("model.safetensors"))?)
}

struct Options {
    tokens: usize,
    steps: usize,
    repeat: usize,
    save: Option<PathBuf>,
    model: Option<PathBuf>,
}

impl Options {
    fn read() -> Result<Self, Anything> {
        let mut options = Self { tokens: 256, steps: 20, repeat: 5, save: None, model: None };
        for (word, value) in arguments()? {
            match word.as_str() {
                "--tokens" => options.tokens = value.parse()?,
                "--steps" => options.steps = value.parse()?,
                "--repeat" => options.repeat = value.parse()?,
                "--save" => options.save = Some(value.into()),
                "--model" => options.model = Some(value.into()),
                _ => return Err(format!("unknown option {word}").into()),
            }
        }
        Ok(options)
    }
}
