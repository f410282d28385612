//! `tessera eval`

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::json;
use tessera::Framing;
use tessera::datasets::{LoadOptions, Picture, write_atomically};
use tessera::eval::{Baseline, Evaluation, EvaluationOptions, Point, Report, rate_distortion_svg};
use tessera::shaders::device::describe;
use tessera::tokenizers::{Tokenizer, TokenizerInfo};

use super::common::{Common, PictureOptions};
use super::counts::counts;
use super::eval_neighbours::NeighbourArguments;
use super::eval_samples::SampleArguments;
use super::eval_shapes::ShapeArguments;
use super::flow::FlowArguments;
use super::inputs::{holds_meshes, pictures, read_picture};
use super::judges::JudgeOptions;
use super::output::{Done, Skipped, bytes, passed_over, table};

/// Measures a tokenizer on a set of pictures: bits per pixel, PSNR, SSIM, MS-SSIM, perceptual distances and codebook usage
/// for every token count, beside JPEG and WebP. Each picture is encoded once and decoded from each count; with --tile at its full
/// resolution, else resized to the model's square. Codecs get the same pictures. With two folders of meshes instead: how alike
/// meshes of the same name are; with one, or --solids: F-score, IoU and distances of every prefix of the tokens.
#[derive(Args)]
#[command(after_help = "Examples:\n  tessera eval photos/ --tile --baselines jpeg:1-20,webp:0-5 -o report/\n  \
                        tessera eval photos/ --tokens 16,64 --min-psnr 22\n  \
                        tessera eval samples/ --against unseen/ --learnt train/ -o report/\n  \
                        tessera eval --knn '{path=\"val\", labels=\"labels.csv\", class_column=\"group_id\"}'\n  \
                        tessera eval decoded/ meshes/ --points 100000 -o report/\n  \
                        tessera eval meshes/ -o report/\n\n\
                        Bits per pixel are tokens x log2(vocabulary) / pixels, for JPEG and WebP those of the whole file.")]
pub struct Arguments {
    /// Pictures, or folders of pictures; or two folders of meshes: shapes, and what they should be; or meshes for a model of shapes.
    #[arg(required_unless_present_any = ["solids", "knn"], value_name = "DATA")]
    pub(super) data: Vec<PathBuf>,
    /// Token counts for each tile; by default powers of two up to all tokens.
    #[arg(long, value_delimiter = ',', value_name = "COUNT,...")]
    pub(super) tokens: Vec<usize>,
    /// Evaluate the first so many pictures that can be read, or pairs of meshes.
    #[arg(long, value_name = "PICTURES", value_parser = at_least_one)]
    pub(super) limit: Option<usize>,
    /// Squares that go through the model at once.
    #[arg(long, value_name = "SQUARES", value_parser = at_least_one)]
    batch: Option<usize>,
    /// Codecs to compare with: jpeg (1 to 100) and webp (0 to 100) with qualities, ranges and steps, such as
    /// jpeg:1-20,webp:0-50/10.
    #[arg(long, value_name = "CODEC:QUALITY,...")]
    baselines: Option<String>,
    /// Folder for report.json (every picture, settings, model) and rate-distortion.svg.
    #[arg(long, short)]
    pub(super) out: Option<PathBuf>,
    /// Stop at a picture that cannot be read, instead of counting, naming and passing over it.
    #[arg(long)]
    pub(super) strict: bool,
    /// End with exit code 1 if the mean PSNR at the highest token count is under this.
    #[arg(long, value_name = "DB")]
    min_psnr: Option<f64>,
    #[command(flatten)]
    pub(super) samples: SampleArguments,
    #[command(flatten)]
    pub(super) neighbours: NeighbourArguments,
    #[command(flatten)]
    pub(super) shapes: ShapeArguments,
    #[command(flatten)]
    pub(super) judges: JudgeOptions,
    #[command(flatten)]
    pub(super) picture: PictureOptions,
    #[command(flatten)]
    flow: FlowArguments,
}

pub fn run(arguments: &Arguments, common: &Common) -> Result<Done> {
    if arguments.neighbours.knn.is_some() {
        return super::eval_neighbours::run(arguments, common);
    }
    if arguments.samples.are_given() {
        return super::eval_samples::run(arguments, common);
    }
    if super::eval_shape_model::is_asked(arguments) {
        return super::eval_shape_model::run(arguments, common);
    }
    if arguments.data.first().is_some_and(|first| holds_meshes(first)) {
        return super::eval_shapes::run(arguments, common);
    }
    let inputs = pictures(&arguments.data)?;
    for path in &inputs {
        ensure!(path == Path::new("-") || path.exists(), "{}: expected a picture, found nothing there", path.display());
    }
    let baselines = arguments.baselines.as_deref().map(Baseline::list).transpose().context("--baselines")?;
    if let Some(folder) = &arguments.out {
        prepare(folder)?;
    }
    let device = common.open_device()?;
    let tokenizer = common.open_tokenizer(false, &device)?;
    let info = tokenizer.info();
    let framing = arguments.picture.framing(&*tokenizer);
    let options = EvaluationOptions {
        framing,
        tokens: token_counts(&arguments.tokens, info)?,
        baselines: baselines.unwrap_or_default(),
        batch: arguments.batch,
        flow: arguments.flow.options(info, common)?,
    };
    let start = Instant::now();
    let evaluation = Evaluation::new(&*tokenizer, &device, options, arguments.judges.open(&device)?);
    let (report, skipped) = evaluate(evaluation, &inputs, arguments, common, &*tokenizer, framing)?;
    let passed = arguments.min_psnr.is_none_or(|least| best(&report).is_some_and(|psnr| psnr >= least));
    let json = json!({
        "tessera": env!("CARGO_PKG_VERSION"),
        "options": std::env::args().skip(1).collect::<Vec<_>>(),
        "device": describe(&device),
        "seconds": start.elapsed().as_secs_f64(),
        "peak_memory_bytes": tessera::peak_memory(),
        "passed": passed,
        "skipped": skipped,
        "report": report,
    });
    let mut text = describe_report(&report, &skipped);
    if let Some(folder) = &arguments.out {
        text += &save(folder, &json, &report)?;
    }
    if let (Some(least), false) = (arguments.min_psnr, passed) {
        text += &format!("FAILED: the PSNR at the highest token count is under {least} dB\n");
    }
    Ok(Done { text, json, quiet: quiet(&report), passed })
}

/// No count at all for a model that decodes all tokens only: their number may depend on the picture.
fn token_counts(wanted: &[usize], info: &TokenizerInfo) -> Result<Vec<usize>> {
    if !info.prefix_decodes && wanted.is_empty() {
        return Ok(Vec::new());
    }
    counts(wanted, info, info.layout.positions())
}

fn evaluate(
    mut evaluation: Evaluation,
    inputs: &[PathBuf],
    arguments: &Arguments,
    common: &Common,
    tokenizer: &dyn Tokenizer,
    framing: Framing,
) -> Result<(Report, Vec<Skipped>)> {
    let limit = arguments.limit.unwrap_or(usize::MAX);
    let bar = common.progress(inputs.len().min(limit), "pictures");
    let load = arguments.picture.load_options();
    let (mut skipped, mut evaluated) = (Vec::new(), 0);
    for path in inputs {
        if evaluated == limit {
            break;
        }
        let name = path.display().to_string();
        match picture(path, &load, framing, tokenizer) {
            Ok(picture) => {
                evaluation.push(name.clone(), picture).context(name)?;
                evaluated += 1;
                bar.inc(1);
            }
            Err(error) if arguments.strict => return Err(error.context(name)),
            Err(error) => skipped.push(Skipped { name, reason: format!("{error:#}") }),
        }
    }
    let report = evaluation.finish()?;
    bar.finish_and_clear();
    if report.pictures == 0 {
        let first = skipped.first().map_or("", |skipped| skipped.reason.as_str());
        bail!("none of {} pictures could be read, the first because: {first}", skipped.len());
    }
    Ok((report, skipped))
}

fn picture(path: &Path, load: &LoadOptions, framing: Framing, tokenizer: &dyn Tokenizer) -> Result<Picture> {
    let picture = read_picture(path, load)?;
    Ok(tessera::framed(&picture, framing, tokenizer.info())?.into_owned())
}

/// The mean PSNR at the highest token count.
fn best(report: &Report) -> Option<f64> {
    let points = report.points.iter().filter(|point| point.method.name() == "tokens");
    points.max_by_key(|point| point.method.setting()).map(|point| point.mean.psnr_db)
}

fn describe_report(report: &Report, skipped: &[Skipped]) -> String {
    let names: Vec<&String> =
        report.points.first().map(|point| point.mean.perceptual.keys().collect()).unwrap_or_default();
    let mut heading = ["coded by", "setting", "bits/pixel", "file", "PSNR dB", "of mean MSE", "SSIM", "MS-SSIM"]
        .map(String::from)
        .to_vec();
    heading.extend(names.iter().map(|name| (*name).clone()));
    let sets: Vec<&String> = report.points.first().map(|point| point.sets.keys().collect()).unwrap_or_default();
    heading.extend(sets.iter().map(|name| (*name).clone()));
    heading.extend(["codes used", "perplexity"].map(String::from));
    let mut rows = vec![heading];
    rows.extend(report.points.iter().map(|point| row(point, &names, &sets)));
    let how = match (report.framing.tiled, report.framing.overlap) {
        (false, _) => format!("resized to {} pixels", report.framing.side),
        (true, 0) => format!("in tiles of {} pixels", report.framing.side),
        (true, overlap) => format!("in tiles of {} pixels that share {overlap}", report.framing.side),
    };
    let text = format!("{}{} pictures {how}\n", table(&rows), report.pictures);
    text + &passed_over(skipped)
}

fn row(point: &Point, names: &[&String], sets: &[&String]) -> Vec<String> {
    let mean = &point.mean;
    let share = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
    let mut row = vec![
        point.method.name().to_owned(),
        point.method.setting().to_string(),
        format!("{:.4}", mean.bits_per_pixel),
        bytes(mean.file_bytes.round() as u64),
        format!("{:.2}", mean.psnr_db),
        format!("{:.2}", mean.psnr_of_mean_mse_db),
        share(mean.ssim),
        share(mean.ms_ssim),
    ];
    row.extend(names.iter().map(|name| share(mean.perceptual.get(*name).copied())));
    row.extend(sets.iter().map(|name| share(point.sets.get(*name).map(|distance| distance.value))));
    let join =
        |of: &dyn Fn(&tessera::eval::DepthUsage) -> String| point.usage.iter().map(of).collect::<Vec<_>>().join(" ");
    row.push(join(&|depth| format!("{:.1} %", 100.0 * depth.share)));
    row.push(join(&|depth| format!("{:.0}", depth.perplexity)));
    row
}

fn quiet(report: &Report) -> String {
    let line = |point: &Point| {
        let (name, setting, mean) = (point.method.name(), point.method.setting(), &point.mean);
        format!("{name} {setting} {:.4} {:.2}", mean.bits_per_pixel, mean.psnr_db)
    };
    report.points.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Makes the folder, so that an hour of work does not end at a wrong path.
pub(super) fn prepare(folder: &Path) -> Result<()> {
    if !folder.exists() {
        std::fs::create_dir(folder).with_context(|| format!("{}: the folder could not be made", folder.display()))?;
    }
    ensure!(folder.is_dir(), "{}: expected a folder for the report, found a file", folder.display());
    Ok(())
}

fn save(folder: &Path, json: &serde_json::Value, report: &Report) -> Result<String> {
    let mut text = write_report(folder, json)?;
    // Equal pictures alone have no finite PSNR, and no chart.
    if let Ok(svg) = rate_distortion_svg(report) {
        text += &write(&folder.join("rate-distortion.svg"), &svg)?;
    }
    Ok(text)
}

/// Writes `report.json`, and says so.
pub(super) fn write_report(folder: &Path, json: &serde_json::Value) -> Result<String> {
    write(&folder.join("report.json"), &format!("{json:#}\n"))
}

fn write(path: &Path, text: &str) -> Result<String> {
    write_atomically(path, |file| std::io::Write::write_all(file, text.as_bytes()))?;
    Ok(format!("wrote {}\n", path.display()))
}

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("expected a whole number from 1, found \"{text}\"")),
        Ok(number) => Ok(number),
    }
}
