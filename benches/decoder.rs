//! LlamaGen-B, NAR-B and Token-Shuffle at full size: tokens a second with guidance on the CPU, forward passes, and peak memory.
//!
//!     cargo bench --no-default-features --bench decoder -- [--kind next-token|nar|token-shuffle] [--batch 1] [--repeat 3]
//!         [--side 16] [--window 2] [--half yes]
//!
//! Prints one JSON line with the keys of `benches/peers/decoder.py`, the same networks in PyTorch. Weights are random. Token-Shuffle
//! has LlamaGen-B's trunk, so that windows of one token are a next-token generator; `--window` and `--side` (tokens in each
//! direction) are for it alone. `--half` rounds matrices to half precision; sums stay f32.

mod common;

use std::ops::ControlFlow;
use std::time::Instant;

use burn::tensor::Device;
use common::{Anything, arguments, report, timed};
use tessera_generators::token_shuffle::{self, TokenShuffleConfig};
use tessera_generators::{Condition, GenerateOptions, Generated, Generator, GeneratorConfig};

fn main() -> Result<(), Anything> {
    let start = Instant::now();
    let options = Options::read()?;
    let config = match options.kind.as_str() {
        "next-token" => GeneratorConfig::preset("llamagen-b-256").ok_or("no such preset")?,
        "nar" => GeneratorConfig::preset("nar-b-256").ok_or("no such preset")?,
        "token-shuffle" => GeneratorConfig::TokenShuffle(windows(options.side, options.window)?),
        other => return Err(format!("unknown kind {other}").into()),
    };
    let parameters = config.listing()?.iter().map(|spec| spec.shape.iter().product::<usize>()).sum();
    let mut generator = config.random(0, &Device::flex())?;
    if options.half && !generator.halve_weights() {
        return Err("this generator has no half precision".into());
    }
    let build = start.elapsed().as_secs_f64();

    let condition = match generator.info().classes {
        Some(_) => Condition::Classes(vec![207; options.batch]),
        None => Condition::Captions(vec!["a".to_owned(); options.batch]),
    };
    let mut passes = 0;
    let (tokens, generate) = timed(options.repeat, || sample(&*generator, &condition, &mut passes))?;
    let rate = tokens as f64 / generate[1];
    let figures = [
        ("build_s", build),
        ("generate_cold_s", generate[0]),
        ("generate_warm_s", generate[1]),
        ("passes", passes as f64),
        ("tokens_per_s", rate),
    ];
    report(&figures, parameters);
    Ok(())
}

/// Tokens of a sample of the whole batch; `passes` is set to its forward passes.
fn sample(generator: &dyn Generator, condition: &Condition, passes: &mut usize) -> Result<usize, Anything> {
    let mut options = GenerateOptions::default();
    options.guidance_scale = Some(4.0);
    (options.sampling.top_k, options.sampling.temperature) = (Some(2000), Some(1.0));
    let generated = generator.generate(condition, &options, &mut |step| {
        *passes = step.index + 1;
        ControlFlow::Continue(())
    })?;
    match generated {
        Generated::Tokens(tokens) => Ok(tokens.ids().len()),
        _ => Err("no tokens".into()),
    }
}

/// LlamaGen-B's trunk over windows.
fn windows(side: usize, window: usize) -> Result<TokenShuffleConfig, Anything> {
    let mut config = token_shuffle::preset("token-shuffle-2.7b-1024").ok_or("no such preset")?;
    (config.dim, config.n_layers, config.n_heads, config.n_kv_heads) = (768, 12, 12, 12);
    (config.ffn_hidden, config.image_vocab, config.text_vocab) = (2048, 16384, 64);
    (config.window, config.grid, config.caption_len) = (window, Some([side, side]), Some(1));
    let words: Vec<String> = vec!["a".to_owned()];
    config.words = Some(tessera_generators::Words::try_from(words)?);
    config.check()?;
    Ok(config)
}

struct Options {
    kind: String,
    batch: usize,
    repeat: usize,
    side: usize,
    window: usize,
    half: bool,
}

impl Options {
    fn read() -> Result<Self, Anything> {
        let mut options = Self { kind: "next-token".to_owned(), batch: 1, repeat: 3, side: 16, window: 2, half: false };
        for (word, value) in arguments()? {
            match word.as_str() {
                "--kind" => options.kind = value,
                "--batch" => options.batch = value.parse()?,
                "--repeat" => options.repeat = value.parse()?,
                "--side" => options.side = value.parse()?,
                "--half" => options.half = value == "yes",
                "--window" => options.window = value.parse()?,
                _ => return Err(format!("unknown option {word}").into()),
            }
        }
        Ok(options)
    }
}
