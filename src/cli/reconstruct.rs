//! `tessera reconstruct`

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;
use tessera::DecodeOptions;
use tessera::datasets::shape::is_mesh_name;
use tessera::datasets::{Sheet, psnr, save_png};

use super::common::{Common, PictureOptions};
use super::counts::counts;
use super::flow::FlowArguments;
use super::inputs::{read_picture, refuse_mesh};
use super::output::{Done, bytes, table};
use super::reconstruct_shape;
use super::refine::RefineArguments;

/// Encodes a picture or, where the model is one of shapes, a mesh once and decodes it from several numbers of tokens; writes one picture of the original and all
/// reconstructions, each labelled with its tokens, bytes and PSNR, or F-score and Chamfer distance.
#[derive(Args)]
#[command(after_help = "Examples:\n  tessera reconstruct photo.jpg -o photo-tokens.png --tile --tokens 4,16,64\n  \
                        tessera reconstruct chair.ply -o chair-scales.png")]
pub struct Arguments {
    /// The picture or mesh, or - for standard input.
    #[arg(value_name = "FILE")]
    pub(super) input: PathBuf,
    /// PNG picture to write.
    #[arg(long, short)]
    pub(super) out: PathBuf,
    /// Token counts for each tile; by default powers of two up to all tokens, or those of each scale.
    #[arg(long, value_delimiter = ',', value_name = "COUNT,...")]
    pub(super) tokens: Vec<usize>,
    /// Decode each count so many times, with one seed after the other: what the tokens leave open differs.
    #[arg(long, value_name = "N", default_value = "1")]
    variations: u64,
    /// Samples along each side of the box in which the surface of a shape is looked for, 2 to 1025; 129 where absent.
    #[arg(long, value_name = "N")]
    pub(super) resolution: Option<usize>,
    #[command(flatten)]
    pub(super) refine: RefineArguments,
    #[command(flatten)]
    pub(super) picture: PictureOptions,
    #[command(flatten)]
    flow: FlowArguments,
}

pub fn run(arguments: &Arguments, common: &Common) -> Result<Done> {
    let cold = Instant::now();
    let device = common.open_device()?;
    let tokenizer = common.open_tokenizer(is_mesh_name(&arguments.input), &device)?;
    let info = tokenizer.info();
    ensure!(
        arguments.variations <= 1 || info.is_sampled,
        "--variations: {} decodes without chance, every picture would be the same",
        info.architecture
    );
    if tessera::is_of_shapes(info) {
        return reconstruct_shape::run(arguments, &*tokenizer, &device, common);
    }
    arguments.refine.refuse(info)?;
    ensure!(arguments.resolution.is_none(), "--resolution: {} decodes to no shapes; leave it out", info.architecture);
    refuse_mesh(&arguments.input, info)?;
    let picture = read_picture(&arguments.input, &arguments.picture.load_options())?;
    let framing = arguments.picture.framing(&*tokenizer);
    let original = tessera::framed(&picture, framing, info)?;
    let mut options = DecodeOptions::default();
    options.flow = arguments.flow.options(info, common)?;
    let first_seed = options.flow.seed;
    let loaded = cold.elapsed().as_secs_f64();

    let start = Instant::now();
    let file = tessera::encode_picture(&*tokenizer, &picture, framing, &device, &mut |_| {})?;
    let encoded = start.elapsed().as_secs_f64();
    let counts = counts(&arguments.tokens, info, file.tokens.positions())?;
    let tiles = file.tokens.batch();
    let per_position = u64::from(file.tokens.bits_per_position());

    let size = format!("{}x{}", original.width(), original.height());
    let mut sheet = Sheet::new().push(original.clone().into_owned(), &["original".to_owned(), size]);
    let heading = ["tokens/tile", "tokens", "bytes", "bits/pixel", "PSNR dB", "seconds"].map(String::from).to_vec();
    let (mut rows, mut results, mut quiet) = (vec![heading], Vec::new(), Vec::new());
    let pixels = f64::from(original.width()) * f64::from(original.height());
    let variations = arguments.variations.max(1);
    let bar = common.progress(counts.len() * tiles * usize::try_from(variations)?, "tiles");
    for (keep, variation) in counts.iter().flat_map(|&keep| (0..variations).map(move |variation| (keep, variation))) {
        options.keep = Some(keep);
        options.flow.seed = first_seed.wrapping_add(variation);
        let start = Instant::now();
        let done = bar.position();
        let mut progress = |tiles: usize| bar.set_position(done + tiles as u64);
        let decoded = tessera::decode_tokens(&*tokenizer, &file, &options, &mut progress)?;
        let seconds = start.elapsed().as_secs_f64();
        let psnr = psnr(&original, &decoded)?;
        let tokens = (keep * tiles) as u64;
        let bits = tokens * per_position;
        let byte_count = bits.div_ceil(8);
        let per_pixel = bits as f64 / pixels;
        let plural = if tokens == 1 { "" } else { "s" };
        let mut labels = vec![format!("{tokens} token{plural}"), bytes(byte_count), format!("{psnr:.2} dB")];
        if variations > 1 {
            labels.push(format!("seed {}", options.flow.seed));
        }
        sheet = sheet.push(decoded, &labels);
        rows.push(vec![
            keep.to_string(),
            tokens.to_string(),
            byte_count.to_string(),
            format!("{per_pixel:.4}"),
            format!("{psnr:.2}"),
            format!("{seconds:.2}"),
        ]);
        quiet.push(format!("{keep} {byte_count} {psnr:.2}"));
        results.push(json!({
            "tokens_per_tile": keep, "tokens": tokens, "bytes": byte_count, "bits_per_pixel": per_pixel,
            "seed": options.flow.seed, "psnr_db": psnr, "decode_seconds": seconds,
        }));
    }
    bar.finish_and_clear();
    save_png(&arguments.out, &sheet.draw()?)?;
    let text = format!(
        "{}{} tiles of {} pixels; loaded in {loaded:.2} s, encoded in {encoded:.2} s{}\nwrote {}\n",
        table(&rows),
        tiles,
        tessera::model_side(info),
        tessera::peak_memory().map_or_else(String::new, |peak| format!(", peak memory {}", bytes(peak))),
        arguments.out.display()
    );
    Ok(Done {
        text,
        json: json!({
            "input": arguments.input, "output": arguments.out, "tiles": tiles, "load_seconds": loaded,
            "encode_seconds": encoded, "reconstructions": results, "peak_memory_bytes": tessera::peak_memory(),
        }),
        quiet: quiet.join("\n"),
        passed: true,
    })
}
