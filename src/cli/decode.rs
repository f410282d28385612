//! `tessera decode`

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::json;
use tessera::datasets::save_png;
use tessera::datasets::shape::is_mesh_name;
use tessera::layers::checkpoint::{NamedTensor, Precision, write_safetensors};
use tessera::tokenizers::{TokenLayout, TokenizerInfo, load_tokens};
use tessera::{DecodeOptions, Tokenizer, Tokens};

use super::common::Common;
use super::decode_shapes;
use super::flow::FlowArguments;
use super::inputs::outputs;
use super::output::Done;

/// Decodes token files to PNG pictures, with the model that made them; those of shapes (VAT) to meshes; those of SEED, which
/// makes no pictures, to the features that a diffusion model takes.
#[derive(Args)]
#[command(after_help = "Examples:\n  tessera decode photo.tsr -o photo.png\n  \
                        tessera decode photo.tsr -o rough.png --keep 8\n  \
                        head -c 4000 photo.tsr > cut.tsr && tessera decode cut.tsr -o cut.png --partial\n  \
                        tessera decode chair.tsr -o chair.ply --scales 5\n  \
                        tessera decode photo.tsr --model seed/ -o features.safetensors")]
pub struct Arguments {
    /// Token files (.tsr or .safetensors).
    #[arg(required = true, value_name = "TOKENS")]
    pub(super) tokens: Vec<PathBuf>,
    /// PNG picture, or mesh (.ply, .obj or .glb); for several token files a folder. For features a .safetensors file.
    #[arg(long, short)]
    pub(super) out: PathBuf,
    /// Decode only the first so many tokens of each tile.
    #[arg(long, value_name = "TOKENS")]
    keep: Option<usize>,
    /// Decode only the first so many scales, where tokens stand in scales.
    #[arg(long, value_name = "N", conflicts_with = "keep")]
    scales: Option<usize>,
    /// Samples along each side of the box in which the surface of a shape is looked for, 2 to 1025; 129 where absent.
    #[arg(long, value_name = "N")]
    pub(super) resolution: Option<usize>,
    /// Decode what a file that was cut off still holds.
    #[arg(long)]
    pub(super) partial: bool,
    #[command(flatten)]
    flow: FlowArguments,
}

pub fn run(arguments: &Arguments, common: &Common) -> Result<Done> {
    let device = common.open_device()?;
    let tokenizer = common.open_tokenizer(makes_shapes(arguments)?, &device)?;
    let mut options = DecodeOptions::default();
    options.keep = match arguments.scales {
        Some(scales) => Some(end_of(scales, tokenizer.info())?),
        None => arguments.keep,
    };
    options.flow = arguments.flow.options(tokenizer.info(), common)?;
    if tessera::is_of_shapes(tokenizer.info()) {
        return decode_shapes::run(arguments, &*tokenizer, &options, common);
    }
    let architecture = tokenizer.info().architecture;
    ensure!(arguments.resolution.is_none(), "--resolution: {architecture} decodes to no shapes; leave it out");
    let out = &arguments.out;
    ensure!(!is_mesh_name(out), "{}: {architecture} decodes to no shapes: name another file", out.display());
    let outputs = outputs(&arguments.tokens, out, "png")?;
    let heading = ["picture", "width", "height", "seconds"].map(String::from).to_vec();
    let (mut rows, mut files, mut quiet) = (vec![heading], Vec::new(), Vec::new());
    for (input, out) in arguments.tokens.iter().zip(&outputs) {
        let file = load_tokens(input, arguments.partial)?;
        if out.extension().is_some_and(|ending| ending == "safetensors") {
            return save_features(&*tokenizer, &file.tokens, &options, out);
        }
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
    Ok(Done::of_files(&rows, &files, &quiet))
}

/// Whether shapes are asked for: by the name of what is written or, where that is a folder, by the layout of the tokens, which of
/// the built-in models the one of shapes alone has in scales.
fn makes_shapes(arguments: &Arguments) -> Result<bool> {
    Ok(match (is_mesh_name(&arguments.out), arguments.tokens.as_slice()) {
        (true, _) => true,
        (false, [first, ..]) if arguments.out.extension().is_none() => {
            matches!(load_tokens(first, arguments.partial)?.tokens.layout(), TokenLayout::Scales { .. })
        }
        (false, _) => false,
    })
}

/// How many tokens the first scales have.
fn end_of(scales: usize, info: &TokenizerInfo) -> Result<usize> {
    let ends = tessera::scale_ends(&info.layout);
    ensure!(!ends.is_empty(), "--scales: the tokens of {} do not stand in scales; use --keep", info.architecture);
    let end = scales.checked_sub(1).and_then(|last| ends.get(last)).copied();
    end.with_context(|| format!("--scales: expected a number from 1 to {}, found {scales}", ends.len()))
}

/// Writes what a tokenizer without pictures decodes to: one tensor `features [items, rows, channels]`.
fn save_features(tokenizer: &dyn Tokenizer, tokens: &Tokens, options: &DecodeOptions, out: &Path) -> Result<Done> {
    let Some(features) = tokenizer.decode(tokens, options)?.into_features() else {
        bail!("{}: this model decodes to pictures: name a .png file", out.display());
    };
    let shape = features.dims().to_vec();
    let values = features.into_data().iter().collect();
    let tensor = NamedTensor { name: "features".to_owned(), shape: shape.clone(), values };
    write_safetensors(out, &[tensor], Precision::F32, HashMap::new())?;
    Ok(Done {
        text: format!("wrote {} (features {shape:?})\n", out.display()),
        json: json!({ "output": out, "features": shape }),
        quiet: out.display().to_string(),
        passed: true,
    })
}
