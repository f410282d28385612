//! `tessera decode`

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use tessera::DecodeOptions;
use tessera::datasets::save_png;
use tessera::tokenizers::load_tokens;

use super::common::Common;
use super::flow::FlowArguments;
use super::inputs::outputs;
use super::output::{Done, table};

/// Decodes token files to PNG pictures, with the model that made them.
#[derive(Args)]
#[command(after_help = "Examples:\n  tessera decode photo.tsr -o photo.png\n  \
                        tessera decode photo.tsr -o rough.png --keep 8\n  \
                        head -c 4000 photo.tsr > cut.tsr && tessera decode cut.tsr -o cut.png --partial")]
pub struct Arguments {
    /// Token files (.tsr or .safetensors).
    #[arg(required = true, value_name = "TOKENS")]
    tokens: Vec<PathBuf>,
    /// PNG picture; for several token files a folder.
    #[arg(long, short)]
    out: PathBuf,
    /// Decode only the first so many tokens of each tile.
    #[arg(long, value_name = "TOKENS")]
    keep: Option<usize>,
    /// Decode what a file that was cut off still holds.
    #[arg(long)]
    partial: bool,
    #[command(flatten)]
    flow: FlowArguments,
}

pub fn run(arguments: &Arguments, common: &Common) -> Result<Done> {
    let outputs = outputs(&arguments.tokens, &arguments.out, "png")?;
    let device = common.open_device()?;
    let tokenizer = common.open_tokenizer(&device)?;
    let mut options = DecodeOptions::default();
    options.keep = arguments.keep;
    options.flow = arguments.flow.options(tokenizer.info(), common)?;
    let heading = ["picture", "width", "height", "seconds"].map(String::from).to_vec();
    let (mut rows, mut files, mut quiet) = (vec![heading], Vec::new(), Vec::new());
    for (input, out) in arguments.tokens.iter().zip(&outputs) {
        let file = load_tokens(input, arguments.partial)?;
        let start = Instant::now();
        let bar = common.progress(file.tokens.batch(), "tiles");
        let mut progress = |done: usize| bar.set_position(done as u64);
        let picture = tessera::decode_tokens(&*tokenizer, &file, &options, &mut progress)
            .with_context(|| input.display().to_string())?;
        bar.finish_and_clear();
        let seconds = start.elapsed().as_secs_f64();
        save_png(out, &picture)?;
        let (width, height) = (picture.width(), picture.height());
        rows.push(vec![out.display().to_string(), width.to_string(), height.to_string(), format!("{seconds:.2}")]);
        files.push(json!({ "input": input, "output": out, "width": width, "height": height, "seconds": seconds }));
        quiet.push(out.display().to_string());
    }
    Ok(Done {
        text: table(&rows),
        json: json!({ "files": files, "peak_memory_bytes": tessera::peak_memory() }),
        quiet: quiet.join("\n"),
        passed: true,
    })
}
