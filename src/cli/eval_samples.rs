//! `tessera eval SAMPLES --against DATA`

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::json;
use tessera::datasets::{DataSource, Picture, Sheet, load_picture, save_png, validation};
use tessera::eval::{SampleReport, compare_samples};
use tessera::train::parse_source;

use super::common::Common;
use super::eval::{Arguments, prepare, write_report};
use super::inputs::pictures;
use super::output::{Done, table};

/// What a generator's samples are compared with.
#[derive(Args)]
#[command(next_help_heading = "Samples of a generator")]
pub struct SampleArguments {
    /// DATA are samples of a generator: their distance from these pictures that it never saw, given as --data of train is. No
    /// tokenizer takes part.
    #[arg(long, value_name = "SOURCE", value_parser = parse_source)]
    against: Option<DataSource>,
    /// What the generator learnt from: how near samples come to single pictures of it.
    #[arg(long, value_name = "SOURCE", value_parser = parse_source)]
    learnt: Option<DataSource>,
}

impl SampleArguments {
    /// Whether samples are compared at all.
    pub fn are_given(&self) -> bool {
        self.against.is_some() || self.learnt.is_some()
    }
}

/// Samples that are shown beside their nearest training pictures.
const SHOWN: usize = 16;

pub fn run(arguments: &Arguments, common: &Common) -> Result<Done> {
    let against = arguments
        .samples
        .against
        .as_ref()
        .context("--learnt: expected --against beside it, the pictures to compare with")?;
    let load = arguments.picture.load_options();
    let limit = arguments.limit.unwrap_or(usize::MAX);
    let paths = pictures(&arguments.data)?;
    let samples = paths.iter().take(limit).map(|path| load_picture(path, &load));
    let samples = samples.collect::<Result<Vec<Picture>, _>>()?;
    let side = samples.first().map_or(0, Picture::width);
    let fits = |picture: &Picture| picture.width() == side && picture.height() == side;
    if let Some(at) = samples.iter().position(|picture| !fits(picture)) {
        let path = paths.get(at).map(|path| path.display().to_string()).unwrap_or_default();
        anyhow::bail!("{path}: expected squares of one size, {side} pixels as the first sample, found another");
    }
    if let Some(folder) = &arguments.out {
        prepare(folder)?;
    }
    let open = |data: &DataSource| -> Result<Vec<Picture>> {
        let examples = validation(data, side, usize::MAX).with_context(|| data.path.display().to_string())?;
        Ok(examples.into_iter().map(|example| example.picture).collect())
    };
    let (others, learnt) =
        (open(against)?, arguments.samples.learnt.as_ref().map(open).transpose()?.unwrap_or_default());
    let device = common.open_device()?;
    let nets = arguments.judges.open(&device)?.nets;
    ensure!(!nets.is_empty(), "--no-networks: samples are compared by the features of a network, leave it out");
    let start = Instant::now();
    let bar = common.progress(samples.len() + others.len() + learnt.len(), "pictures");
    let done = &mut |done: usize| bar.set_position(done as u64);
    let report = compare_samples(&samples, &others, &learnt, &nets, &device, done)?;
    bar.finish_and_clear();
    let mut text = describe(&report);
    let json = json!({ "seconds": start.elapsed().as_secs_f64(), "report": report });
    if let Some(folder) = &arguments.out {
        text += &write_report(folder, &json)?;
        if let Some(sheet) = nearest_sheet(&report, &samples, &learnt)? {
            let path = folder.join("nearest.png");
            save_png(&path, &sheet)?;
            text += &format!("wrote {}\n", path.display());
        }
    }
    let quiet = report.sets.iter().map(|(name, distance)| format!("{name} {:.5}", distance.value));
    Ok(Done { text, json, quiet: quiet.collect::<Vec<_>>().join("\n"), passed: true })
}

fn describe(report: &SampleReport) -> String {
    let mut rows = vec![["figure", "value"].map(String::from).to_vec()];
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    row("samples", report.samples.to_string());
    row("pictures that they are compared with", report.against.to_string());
    for (name, distance) in &report.sets {
        row(name, format!("{:.5}", distance.value));
    }
    if let Some(repetition) = &report.repetition {
        row("training pictures", repetition.learnt.to_string());
        row("median distance of a sample from the nearest of them", format!("{:.2}", repetition.median_of_samples));
        row("the same of a picture that was never learnt", format!("{:.2}", repetition.median_of_others));
        row("samples nearer than 95 in 100 of those", format!("{:.1} %", 100.0 * repetition.share_near));
    }
    table(&rows)
}

/// The samples that come nearest to a training picture, each with that picture.
fn nearest_sheet(report: &SampleReport, samples: &[Picture], learnt: &[Picture]) -> Result<Option<Picture>> {
    let Some(repetition) = &report.repetition else { return Ok(None) };
    let mut order: Vec<_> = repetition.nearest.iter().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| a.distance.total_cmp(&b.distance));
    let mut sheet = Sheet::new().with_cell_side(128).with_max_width(4 * 2 * 136 + 8);
    for (at, nearest) in order.into_iter().take(SHOWN) {
        if let (Some(sample), Some(original)) = (samples.get(at), learnt.get(nearest.index)) {
            sheet = sheet.push(sample.clone(), &[format!("sample, {:.1} from", nearest.distance)]);
            sheet = sheet.push(original.clone(), &["training picture"]);
        }
    }
    Ok(Some(sheet.draw()?))
}
