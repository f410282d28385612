//! `tessera generate`

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::json;
use tessera::datasets::{Picture, Sheet, save_png};
use tessera::generators::{Generated, Generator, Step};
use tessera::layers::checkpoint::{NamedTensor, Precision, write_safetensors};
use tessera::tokenizers::{TokenFile, save_tokens};
use tessera::{Codec, DecodeOptions, Region, given_part};

use super::common::{Common, PictureOptions};
use super::generate_condition::ConditionArguments;
use super::generate_sampling::SamplingArguments;
use super::generate_shapes::Samples;
use super::inputs::read_picture;
use super::output::{Done, bytes, table};

/// Makes new pictures, or shapes where the tokenizer is one of shapes: token by token, diagonal by diagonal, window by window, scale by
/// scale or entity by entity, as the model does.
#[derive(Args)]
#[command(after_help = "Examples:\n  tessera generate --class animals --count 16 -o grid.png\n  \
                        tessera generate --prompt \"red heart\" --style noto -o heart.png\n  \
                        tessera generate --image half.png --count 4 -o completed.png\n  \
                        tessera generate --kind shape --class furniture --count 9 -o grid.png --parts shapes/\n  \
                        tessera generate --model vat-ar/ --tokenizer vat/ --count 9 -o grid.png --parts shapes/")]
pub struct Arguments {
    /// PNG picture of all samples in a grid; of shapes a view of each.
    #[arg(long, short)]
    out: PathBuf,
    /// What to make; where absent, what the model makes. Without --model both come from built-in generators, and what is not said is
    /// pictures.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    #[command(flatten)]
    wishes: ConditionArguments,
    /// Samples.
    #[arg(long, default_value = "1", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    count: u16,
    /// The tokenizer that decodes; where absent, one that ships with tessera and that the generator learnt from.
    #[arg(long, value_name = "MODEL")]
    tokenizer: Option<String>,
    /// Folder for each sample as a PNG picture of its own, for the tokens (tokens.tsr) or latents (latents.safetensors),
    /// and for shapes as meshes (.ply).
    #[arg(long, value_name = "FOLDER")]
    parts: Option<PathBuf>,
    /// Folder for pictures of the samples while they grow.
    #[arg(long, value_name = "FOLDER")]
    preview: Option<PathBuf>,
    /// A picture to complete: what --keep-tokens or --keep-region says stays as it is.
    #[arg(long, value_name = "IMAGE")]
    image: Option<PathBuf>,
    /// Leading tokens of the picture that stay; half of them where absent (ordered tokens).
    #[arg(long, value_name = "N", requires = "image")]
    keep_tokens: Option<usize>,
    /// Region of the picture that stays, in hundredths of its sides: X,Y,WIDTH,HEIGHT; the upper half where absent (grids).
    #[arg(long, value_name = "X,Y,W,H", requires = "image", value_parser = parse_region)]
    keep_region: Option<Region>,
    /// Samples along each side of the box in which the surface of a shape is looked for, 2 to 1025; 129 where absent.
    #[arg(long, value_name = "N")]
    resolution: Option<usize>,
    /// Round the generator's matrices to half precision: faster on a CPU, which mostly waits for them.
    #[arg(long)]
    half: bool,
    #[command(flatten)]
    picture: PictureOptions,
    #[command(flatten)]
    sampling: SamplingArguments,
}

/// What a generator makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Pictures.
    Picture,
    /// Meshes, and views of them.
    Shape,
}

impl Kind {
    fn of(codec: &Codec) -> Self {
        if codec.of_shapes().is_some() { Self::Shape } else { Self::Picture }
    }
}

pub fn run(arguments: &Arguments, common: &Common) -> Result<Done> {
    let mut options = arguments.sampling.options(common)?;
    let cold = Instant::now();
    let device = common.open_device()?;
    let spec = common.model.as_deref();
    let mut generator = match spec {
        Some(spec) => tessera::generators::from_pretrained(spec, &device)?,
        None if arguments.kind == Some(Kind::Shape) => tessera::default_shape_generator(&device)?,
        None => tessera::default_generator(&device)?,
    };
    if arguments.half {
        let halved = device.identity().is_none() && generator.halve_weights();
        ensure!(
            halved,
            "--half: expected a next-token, NAR, Token-Shuffle or xAR generator on --device cpu; leave it out"
        );
    }
    let codec = match &arguments.tokenizer {
        Some(spec) => Codec::open(Some(spec), &device)?.for_generator(generator.info())?,
        None => Codec::of_generator(generator.info(), spec, &device)?,
    };
    codec.check(generator.info())?;
    if let Some(kind) = arguments.kind.filter(|&kind| kind != Kind::of(&codec)) {
        let (wanted, found) = if kind == Kind::Shape { ("shapes", "pictures") } else { ("pictures", "shapes") };
        bail!("--kind: expected a generator of {wanted}, found one of {found}; name another with --model");
    }
    let resolution = arguments.resolution;
    match codec.of_shapes() {
        Some(_) => ensure!(arguments.image.is_none(), "--image: a picture completes no shape; leave it out"),
        None => ensure!(resolution.is_none(), "--resolution: the tokenizer decodes to no shapes; leave it out"),
    }
    let count = usize::from(arguments.count);
    let condition = arguments.wishes.condition(generator.info(), count, options.seed)?;
    if let Some(path) = &arguments.image {
        let picture = read_picture(path, &arguments.picture.load_options())?;
        let part = given_part(&codec, &picture, arguments.keep_tokens, arguments.keep_region, &device)
            .with_context(|| path.display().to_string())?;
        options.given = Some(part);
    }
    if let Some(folder) = &arguments.preview {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let loaded = cold.elapsed().as_secs_f64();

    let start = Instant::now();
    let bar = common.progress(1, "steps");
    let mut failed = None;
    let generated = generator.generate(&condition, &options, &mut |step| {
        bar.set_length(step.of as u64);
        bar.set_position(step.index as u64 + 1);
        let shown = match &arguments.preview {
            Some(folder) => preview(folder, step, &*generator, &codec, (count, resolution)),
            None => Ok(()),
        };
        match shown {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    bar.finish_and_clear();
    if let Some(error) = failed {
        return Err(error);
    }
    let generated = generated?;
    let seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let mut decoding = DecodeOptions::default();
    decoding.flow.seed = common.seed.unwrap_or(0);
    let samples = Samples::decode(&codec, &generated, &decoding, resolution)?;
    let decoded = start.elapsed().as_secs_f64();

    let shown = arguments.wishes.drawn(&condition, generator.info());
    save_png(&arguments.out, &grid(samples.pictures.iter().cloned(), &shown)?)?;
    let mut written = vec![arguments.out.clone()];
    if let Some(folder) = &arguments.parts {
        // Tokens as the tokenizer makes them.
        let generated = match generated {
            Generated::Tokens(_) => Generated::Tokens(codec.tokens(&generated)?),
            latents => latents,
        };
        written.extend(write_parts(folder, &samples.pictures, generated)?);
        written.extend(samples.write_meshes(folder)?);
    }
    let info = generator.info();
    let positions = info.layout.positions();
    let rate = (count * positions) as f64 / seconds.max(1e-9);
    let rows = [
        ["generator", "samples", "positions", "load s", "generate s", "decode s", "positions/s"]
            .map(String::from)
            .to_vec(),
        vec![
            info.architecture.to_owned(),
            count.to_string(),
            positions.to_string(),
            format!("{loaded:.2}"),
            format!("{seconds:.2}"),
            format!("{decoded:.2}"),
            format!("{rate:.1}"),
        ],
    ];
    let mut text = table(&rows);
    if let Some(peak) = tessera::peak_memory() {
        text += &format!("peak memory {}\n", bytes(peak));
    }
    if samples.empty() > 0 {
        text += &format!("{} of {count} shapes have no surface: their views are empty\n", samples.empty());
    }
    for path in &written {
        text += &format!("wrote {}\n", path.display());
    }
    Ok(Done {
        text,
        json: json!({
            "generator": info.architecture, "samples": count, "positions": positions, "load_seconds": loaded,
            "generate_seconds": seconds, "decode_seconds": decoded, "positions_per_second": rate, "written": written,
            "without_surface": samples.empty(), "captions": shown,
            "peak_memory_bytes": tessera::peak_memory(),
        }),
        quiet: written.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join("\n"),
        passed: true,
    })
}

/// Pictures of the samples as far as they are, at steps that double.
fn preview(
    folder: &Path,
    step: &Step<'_>,
    generator: &dyn Generator,
    codec: &Codec,
    (count, resolution): (usize, Option<usize>),
) -> Result<()> {
    let done = step.index + 1;
    if done == step.of || !(done.is_power_of_two() || step.is_of_latents()) {
        return Ok(());
    }
    let so_far = tessera::so_far(step, generator.info(), count)?;
    let pictures = Samples::decode(codec, &so_far, &DecodeOptions::default(), resolution)?.pictures;
    save_png(folder.join(format!("{done:04}.png")), &grid(pictures.into_iter(), &[])?)?;
    Ok(())
}

/// Samples side by side, each over its caption's names where there are captions.
fn grid(pictures: impl Iterator<Item = Picture>, captions: &[String]) -> Result<Picture> {
    let pictures: Vec<Picture> = pictures.collect();
    let columns = (1_u32..).find(|side| side * side >= u32::try_from(pictures.len()).unwrap_or(1)).unwrap_or(1);
    let side = pictures.first().map_or(64, Picture::width).max(128);
    let mut sheet = Sheet::new().with_cell_side(side);
    for (index, picture) in pictures.into_iter().enumerate() {
        let lines = captions.get(index).map_or(Vec::new(), |caption| short_lines(caption, side / 8));
        sheet = sheet.push(picture, &lines);
    }
    Ok(sheet.with_max_width(columns.saturating_mul(side + 8).saturating_add(8)).draw()?)
}

/// The name and the style of a caption in lines of so many letters.
fn short_lines(caption: &str, most: u32) -> Vec<String> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let (mut name, mut style) = (Vec::new(), String::new());
    for word in caption.split(' ') {
        match word.split_once('=') {
            Some(("style", tag)) => tag.clone_into(&mut style),
            Some(_) => {}
            None => name.push(word),
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for word in name {
        match lines.last_mut().filter(|line| line.chars().count() + 1 + word.chars().count() <= most) {
            Some(line) => *line = format!("{line} {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    lines.extend((!style.is_empty()).then_some(style));
    lines.into_iter().map(|line| line.chars().take(most).collect()).collect()
}

/// Every sample by itself, and the tokens.
fn write_parts(folder: &Path, pictures: &[Picture], generated: Generated) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut written = Vec::new();
    for (index, picture) in pictures.iter().enumerate() {
        let path = folder.join(format!("{index:04}.png"));
        save_png(&path, picture)?;
        written.push(path);
    }
    match generated {
        Generated::Tokens(tokens) => {
            let path = folder.join("tokens.tsr");
            save_tokens(&path, &TokenFile::new(tokens))?;
            written.push(path);
        }
        Generated::Latents(latents) => {
            let path = folder.join("latents.safetensors");
            let shape = latents.vectors.dims().to_vec();
            let values = latents.vectors.into_data().iter().collect();
            let tensor = NamedTensor { name: "latents".to_owned(), shape, values };
            let layout = [("layout".to_owned(), latents.layout.to_string())];
            write_safetensors(&path, &[tensor], Precision::F32, layout.into())?;
            written.push(path);
        }
        _ => {}
    }
    Ok(written)
}

fn parse_region(text: &str) -> Result<Region, String> {
    let wrong = || format!("expected X,Y,WIDTH,HEIGHT in hundredths of the sides such as 0,0,100,50, found \"{text}\"");
    let numbers: Option<Vec<f64>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[x, y, width, height]) => Region::of_hundredths([x, y, width, height]).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}
