//! One-D-Piece-S-256 at full size: cold and warm seconds of encode and decode, and peak memory.
//!
//!     cargo bench --no-default-features --bench one_d_piece -- [--tokens 256] [--repeat 5]
//!         [--size s|b|l] [--save FOLDER | --model FOLDER]
//!
//! Prints one JSON line with the keys of `benches/peers/one_d_piece.py`, the same network in PyTorch. Weights are random;
//! `--save` writes them as a checkpoint and stops, `--model` opens such a checkpoint, which is what a user's cold start is.

mod common;

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use common::{Anything, arguments, report, timed};
use tessera_tokenizers::one_d_piece::{OneDPieceConfig, random};
use tessera_tokenizers::{DecodeOptions, Input, Tokenizer, from_pretrained};

fn main() -> Result<(), Anything> {
    let start = Instant::now();
    let options = Options::read()?;
    let device = Device::flex();
    let name = format!("one-d-piece-{}-256", options.size);
    let config = OneDPieceConfig::preset(&name).ok_or("no such size")?;
    if let Some(folder) = &options.save {
        return save(&config, folder, &device);
    }
    let tokenizer: Box<dyn Tokenizer> = match &options.model {
        Some(folder) => from_pretrained(&folder.to_string_lossy(), &device)?,
        None => Box::new(random(&config, 0, &device)?),
    };
    let build = start.elapsed().as_secs_f64();
    let image = Tensor::<4>::random([1, 3, 256, 256], Distribution::Uniform(0.0, 1.0), &device);
    let image = Input::Images(image);

    let (tokens, encode) = timed(options.repeat, || Ok(tokenizer.encode(&image)?))?;
    let keep = DecodeOptions::prefix(options.tokens);
    let (_, decode) = timed(options.repeat, || {
        let image = tokenizer.decode(&tokens, &keep)?.into_images().ok_or("no picture")?;
        Ok(image.into_data())
    })?;
    let seconds = [
        ("build_s", build),
        ("encode_cold_s", encode[0]),
        ("encode_warm_s", encode[1]),
        ("decode_cold_s", decode[0]),
        ("decode_warm_s", decode[1]),
    ];
    report(&seconds, tokenizer.info().parameters);
    Ok(())
}

fn save(config: &OneDPieceConfig, folder: &Path, device: &Device) -> Result<(), Anything> {
    std::fs::create_dir_all(folder)?;
    let model = random(config, 0, device)?;
    std::fs::write(folder.join("config.json"), config.to_value().to_string())?;
    Ok(tessera_tokenizers::one_d_piece::save(model.network(), model.specs(), &folder.join("model.safetensors"))?)
}

struct Options {
    tokens: usize,
    repeat: usize,
    size: String,
    save: Option<PathBuf>,
    model: Option<PathBuf>,
}

impl Options {
    fn read() -> Result<Self, Anything> {
        let mut options = Self { tokens: 256, repeat: 5, size: "s".to_owned(), save: None, model: None };
        for (word, value) in arguments()? {
            match word.as_str() {
                "--tokens" => options.tokens = value.parse()?,
                "--repeat" => options.repeat = value.parse()?,
                "--size" => options.size = value,
                "--save" => options.save = Some(value.into()),
                "--model" => options.model = Some(value.into()),
                _ => return Err(format!("unknown option {word}").into()),
            }
        }
        Ok(options)
    }
}
