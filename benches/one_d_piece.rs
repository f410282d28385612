//! One-D-Piece-S-256 at full size: cold and warm seconds of encode and decode, and peak memory.
//!
//!     cargo bench --no-default-features --bench one_d_piece -- [--tokens 256] [--repeat 5]
//!         [--size s|b|l] [--save FOLDER | --model FOLDER]
//!
//! Prints one JSON line with the keys of `benches/peers/one_d_piece.py`, the same network in PyTorch. Weights are random;
//! `--save` writes them as a checkpoint and stops, `--model` opens such a checkpoint, which is what a user's cold start is.

use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use tessera_tokenizers::one_d_piece::{OneDPieceConfig, random};
use tessera_tokenizers::{DecodeOptions, Input, Tokenizer, from_pretrained};

type Anything = Box<dyn std::error::Error>;

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
    println!(
        "{{\"build_s\": {build:.3}, \"encode_cold_s\": {:.4}, \"encode_warm_s\": {:.4}, \"decode_cold_s\": {:.4}, \
         \"decode_warm_s\": {:.4}, \"threads\": {}, \"peak_bytes\": {}}}",
        encode[0],
        encode[1],
        decode[0],
        decode[1],
        std::thread::available_parallelism().map_or(0, usize::from),
        peak().map_or_else(|| "null".to_owned(), |bytes| bytes.to_string()),
    );
    Ok(())
}

/// The last result, and seconds of the first run and of the median later one.
fn timed<T>(repeat: usize, mut run: impl FnMut() -> Result<T, Anything>) -> Result<(T, [f64; 2]), Anything> {
    let start = Instant::now();
    let mut result = run()?;
    let cold = start.elapsed().as_secs_f64();
    let mut warm = Vec::new();
    for _ in 0..repeat {
        let start = Instant::now();
        result = run()?;
        warm.push(start.elapsed().as_secs_f64());
    }
    warm.sort_by(f64::total_cmp);
    Ok((result, [cold, warm.get(repeat / 2).copied().unwrap_or(cold)]))
}

/// The most memory that this process ever held, where Linux tells.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn save(config: &OneDPieceConfig, folder: &std::path::Path, device: &Device) -> Result<(), Anything> {
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
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            if word == "--bench" {
                continue; // what cargo adds
            }
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
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
