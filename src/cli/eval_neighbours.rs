//! `tessera eval --knn SOURCE`

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::json;
use tessera::datasets::{DataSource, Example, validation};
use tessera::eval::{LabelledVectors, NeighbourReport, compare_neighbours, labelled_vectors};
use tessera::shaders::device::describe;
use tessera::train::parse_source;

use super::common::Common;
use super::eval::{Arguments, at_least_one, prepare, write_report};
use super::output::{Done, table};

/// Whether what a tokenizer makes of pictures keeps classes apart.
#[derive(Args)]
#[command(next_help_heading = "Nearest neighbours")]
pub struct NeighbourArguments {
    /// In place of DATA: pictures with classes, given as --data of train is, with labels and class_column (a column of whole numbers). How often the vote of
    /// the nearest neighbours names a picture's class, by the model's vectors, by the pixels themselves, and by a network
    /// (EfficientNet-Lite0; not with --no-networks).
    #[arg(long, value_name = "SOURCE", value_parser = parse_source)]
    pub(super) knn: Option<DataSource>,
    /// Pictures with classes that neighbours are looked for among; where absent those of --knn, each left out for itself.
    #[arg(long, value_name = "SOURCE", value_parser = parse_source, requires = "knn")]
    knn_among: Option<DataSource>,
    /// Neighbours that vote.
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value = "5")]
    neighbours: usize,
}

pub fn run(arguments: &Arguments, common: &Common) -> Result<Done> {
    let NeighbourArguments { knn, knn_among, neighbours } = &arguments.neighbours;
    let judged = knn.as_ref().context("--knn: expected pictures with classes")?;
    ensure!(arguments.data.is_empty(), "DATA: expected nothing beside --knn, which names its pictures itself");
    if let Some(folder) = &arguments.out {
        prepare(folder)?;
    }
    let device = common.open_device()?;
    let tokenizer = common.open_tokenizer(false, &device)?;
    let info = tokenizer.info();
    let [side, _] =
        info.image_size.context("--knn: the model takes pictures of any size, expected one of a size of its own")?;
    let side = u32::try_from(side)?;
    let limit = arguments.limit.unwrap_or(usize::MAX);
    let network = arguments.judges.network(&device)?;
    let start = Instant::now();
    let vectors = |source: &DataSource, flag: &str| -> Result<Vec<LabelledVectors>> {
        ensure!(
            source.class_column.is_some(),
            "{flag}: expected labels and class_column in the source, found no class_column"
        );
        let examples: Vec<Example> =
            validation(source, side, limit).with_context(|| source.path.display().to_string())?;
        let bar = common.progress(examples.len(), "pictures");
        let found =
            labelled_vectors(&*tokenizer, &examples, network.as_ref(), &device, &mut |count| bar.inc(count as u64))?;
        bar.finish_and_clear();
        ensure!(!found.is_empty(), "{flag}: expected pictures with classes, found none");
        Ok(found)
    };
    let among = knn_among.as_ref().map(|source| vectors(source, "--knn-among")).transpose()?;
    let report = compare_neighbours(&vectors(judged, "--knn")?, among.as_deref(), *neighbours, &device);
    let json = json!({
        "tessera": env!("CARGO_PKG_VERSION"),
        "options": std::env::args().skip(1).collect::<Vec<_>>(),
        "device": describe(&device),
        "seconds": start.elapsed().as_secs_f64(),
        "architecture": info.architecture,
        "fingerprint": info.fingerprint.to_string(),
        "report": report,
    });
    let mut text = describe_report(&report);
    if let Some(folder) = &arguments.out {
        text += &write_report(folder, &json)?;
    }
    let quiet = report.figures.iter().map(|figure| format!("{:.4} {}", figure.accuracy, figure.vectors));
    Ok(Done { text, json, quiet: quiet.collect::<Vec<_>>().join("\n"), passed: true })
}

fn describe_report(report: &NeighbourReport) -> String {
    let mut rows = vec![["vectors", "channels", "accuracy"].map(String::from).to_vec()];
    rows.extend(report.figures.iter().map(|figure| {
        vec![figure.vectors.clone(), figure.width.to_string(), format!("{:.1} %", 100.0 * figure.accuracy)]
    }));
    let among = match report.leave_one_out {
        true => "the others".to_owned(),
        false => format!("{} others", report.among),
    };
    format!(
        "{}{} pictures of {} classes (the largest: {:.1} %), by the {} nearest of {among}\n",
        table(&rows),
        report.pictures,
        report.classes,
        100.0 * report.largest_class,
        report.neighbours
    )
}
