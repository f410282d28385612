//! `tessera encode`

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use serde_json::json;
use tessera::tokenizers::save_tokens;

use super::common::{Common, PictureOptions};
use super::encode_shapes;
use super::inputs::{holds_meshes, outputs, pictures, read_picture, refuse_mesh};
use super::output::{Done, bytes};
use super::refine::RefineArguments;

/// Encodes pictures (PNG, JPEG, WebP), or meshes (PLY, OBJ, STL, GLB, glTF) where the model is one of shapes. A picture is resized to the model's size as the model's release does it; with
/// --tile it keeps its size and is encoded tile by tile.
#[derive(Args)]
#[command(after_help = "Examples:\n  tessera encode photo.jpg -o photo.tsr --tile\n  \
                        tessera encode photos/ -o tokens/ --keep 32\n  \
                        tessera encode chair.ply -o chair.tsr --refine 100\n  \
                        cat photo.png | tessera encode - -o photo.safetensors")]
pub struct Arguments {
    /// Pictures or meshes, folders of them, or - for standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(super) inputs: Vec<PathBuf>,
    /// Token file (.tsr or .safetensors); for several pictures a folder.
    #[arg(long, short)]
    pub(super) out: PathBuf,
    /// Keep only the first so many tokens of each tile.
    #[arg(long, value_name = "TOKENS")]
    pub(super) keep: Option<usize>,
    /// Kind of the token files in a folder.
    #[arg(long, default_value = "tsr")]
    format: Format,
    #[command(flatten)]
    pub(super) refine: RefineArguments,
    #[command(flatten)]
    pub(super) picture: PictureOptions,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Tsr,
    Safetensors,
}

impl Arguments {
    /// Ending of the token files in a folder.
    pub(super) fn ending(&self) -> &'static str {
        match self.format {
            Format::Tsr => "tsr",
            Format::Safetensors => "safetensors",
        }
    }
}

pub fn run(arguments: &Arguments, common: &Common) -> Result<Done> {
    let device = common.open_device()?;
    let for_shapes = arguments.inputs.iter().all(|input| holds_meshes(input));
    let tokenizer = common.open_tokenizer(for_shapes, &device)?;
    if tessera::is_of_shapes(tokenizer.info()) {
        return encode_shapes::run(arguments, &*tokenizer, &device, common);
    }
    arguments.refine.refuse(tokenizer.info())?;
    let inputs = pictures(&arguments.inputs)?;
    inputs.iter().try_for_each(|input| refuse_mesh(input, tokenizer.info()))?;
    let outputs = outputs(&inputs, &arguments.out, arguments.ending())?;
    let framing = arguments.picture.framing(&*tokenizer);

    let heading = ["tokens of", "tiles", "tokens", "file", "bits/pixel", "seconds"].map(String::from).to_vec();
    let (mut rows, mut files, mut quiet) = (vec![heading], Vec::new(), Vec::new());
    let bar = common.progress(inputs.len(), "pictures");
    for (input, out) in inputs.iter().zip(&outputs) {
        let picture = read_picture(input, &arguments.picture.load_options())?;
        let start = Instant::now();
        let mut file = tessera::encode_picture(&*tokenizer, &picture, framing, &device, &mut |_| {})
            .with_context(|| input.display().to_string())?;
        if let Some(keep) = arguments.keep {
            file.tokens = file.tokens.prefix(keep).context("--keep")?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let (tiles, kept) = (file.tokens.batch(), file.tokens.kept_count());
        let bits = kept as u64 * u64::from(file.tokens.bits_per_position());
        save_tokens(out, &file)?;
        let length = std::fs::metadata(out).map(|metadata| metadata.len()).unwrap_or(0);
        let side = f64::from(tessera::model_side(tokenizer.info()));
        let pixels =
            if arguments.picture.tile { f64::from(picture.width()) * f64::from(picture.height()) } else { side * side };
        let per_pixel = bits as f64 / pixels;
        rows.push(vec![
            input.display().to_string(),
            tiles.to_string(),
            kept.to_string(),
            bytes(length),
            format!("{per_pixel:.4}"),
            format!("{seconds:.2}"),
        ]);
        files.push(json!({
            "input": input, "output": out, "tiles": tiles, "tokens": kept, "token_bits": bits,
            "file_bytes": length, "bits_per_pixel": per_pixel, "seconds": seconds,
        }));
        quiet.push(out.display().to_string());
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Done::of_files(&rows, &files, &quiet))
}
