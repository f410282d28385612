//! `tessera eval MESHES MESHES`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::json;
use tessera::datasets::shape::{Mesh, RenderOptions, View, load_mesh, mesh_folder, render};
use tessera::datasets::{Sheet, save_png};
use tessera::eval::{ShapeFigures, ShapeOptions, ShapePair, ShapeReport, compare_shapes};

use super::common::Common;
use super::eval::{Arguments, at_least_one, prepare, write_report};
use super::inputs::holds_meshes;
use super::output::{Done, Skipped, passed_over, table};
use super::refine::RefineArguments;

/// How meshes are compared.
#[derive(Args)]
#[command(next_help_heading = "Meshes")]
pub struct ShapeArguments {
    /// Points that are drawn on each surface, and places for the shared volume.
    #[arg(long, value_name = "POINTS", value_parser = at_least_one, default_value = "100000")]
    points: usize,
    /// Distances that count as near for the F-score, where the longest half of a shape is 0.95.
    #[arg(long, value_delimiter = ',', value_name = "DISTANCE,...", value_parser = distance, default_value = "0.02")]
    thresholds: Vec<f64>,
    /// Samples along each side of the box in which a model's surfaces are looked for, 2 to 1025.
    #[arg(long, value_name = "N", default_value_t = tessera::DEFAULT_RESOLUTION)]
    resolution: usize,
    /// Measure the model on so many procedural shapes of a fixed seed, beside the meshes given.
    #[arg(long, value_name = "N", default_value_t = 0)]
    solids: u64,
    #[command(flatten)]
    refine: RefineArguments,
    /// Take coordinates as they are, instead of centring and scaling both shapes of a pair as the true one needs.
    #[arg(long)]
    as_is: bool,
}

impl ShapeArguments {
    /// How shapes are compared.
    pub(super) fn options(&self, common: &Common) -> ShapeOptions {
        ShapeOptions {
            samples: self.points,
            places: self.points,
            thresholds: self.thresholds.clone(),
            seed: common.seed.unwrap_or(0),
            normalise: !self.as_is,
        }
    }

    pub(super) fn resolution(&self) -> usize {
        self.resolution
    }

    /// How a model's tokens are found.
    pub(super) fn refine(&self) -> &RefineArguments {
        &self.refine
    }

    pub(super) fn solids(&self) -> u64 {
        self.solids
    }
}

/// Pairs that are drawn beside each other.
const SHOWN: usize = 12;

pub fn run(arguments: &Arguments, common: &Common) -> Result<Done> {
    let [shapes, truth] = arguments.data.as_slice() else {
        bail!(
            "expected two folders of meshes, the shapes and what they should be, or one for a model of shapes; found {}",
            arguments.data.len()
        );
    };
    for path in [shapes, truth] {
        ensure!(path.exists(), "{}: expected a mesh or a folder of meshes, found nothing there", path.display());
        ensure!(holds_meshes(path), "{}: expected meshes (PLY, OBJ, STL, GLB or glTF), found none", path.display());
    }
    if let Some(folder) = &arguments.out {
        prepare(folder)?;
    }
    let options = arguments.shapes.options(common);
    let start = Instant::now();
    let (matched, mut skipped) = matched(shapes, truth)?;
    ensure!(
        !matched.is_empty(),
        "{} and {}: expected meshes of the same names in both, found none",
        shapes.display(),
        truth.display()
    );
    let limit = arguments.limit.unwrap_or(usize::MAX);
    let bar = common.progress(matched.len().min(limit), "shapes");
    let (mut pairs, mut sheet) = (Vec::new(), Sheet::new().with_cell_side(192).with_max_width(4 * 2 * 200 + 8));
    for (name, [shape, truth]) in matched.into_iter().take(limit) {
        let compared = compared(&name, &shape, &truth, &options);
        bar.inc(1);
        match compared {
            Ok((pair, meshes)) => {
                if arguments.out.is_some() && pairs.len() < SHOWN {
                    sheet = drawn(sheet, &pair, &meshes)?;
                }
                pairs.push(pair);
            }
            Err(error) if arguments.strict => return Err(error),
            Err(error) => skipped.push(Skipped { name, reason: format!("{error:#}") }),
        }
    }
    bar.finish_and_clear();
    if let (Some(first), true) = (skipped.first(), arguments.strict) {
        bail!("{}: {}", first.name, first.reason);
    }
    let report = ShapeReport::new(options, pairs);
    let Some(mean) = &report.mean else {
        let first = skipped.first().map_or("", |skipped| skipped.reason.as_str());
        bail!("none of {} pairs could be compared, the first because: {first}", skipped.len());
    };
    let json = json!({
        "tessera": env!("CARGO_PKG_VERSION"),
        "seconds": start.elapsed().as_secs_f64(),
        "peak_memory_bytes": tessera::peak_memory(),
        "skipped": skipped,
        "report": report,
    });
    let mut text = describe(&report, mean, &skipped);
    if let Some(folder) = &arguments.out {
        text += &write_report(folder, &json)?;
        let path = folder.join("shapes.png");
        save_png(&path, &sheet.draw()?)?;
        text += &format!("wrote {}\n", path.display());
    }
    let quiet = format!("chamfer-l1 {:.6}\niou {:.6}", mean.chamfer_l1, mean.iou);
    let scores = mean.f_scores.iter().map(|score| format!("\nf-score@{} {:.6}", score.threshold, score.f_score));
    Ok(Done { text, json, quiet: quiet + &scores.collect::<String>(), passed: true })
}

/// Meshes of the same name in both places, and those that have no partner. Two files are always a pair.
type Matched = (Vec<(String, [PathBuf; 2])>, Vec<Skipped>);

fn matched(shapes: &Path, truth: &Path) -> Result<Matched> {
    if !shapes.is_dir() && !truth.is_dir() {
        let name = shapes.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return Ok((vec![(name, [shapes.to_owned(), truth.to_owned()])], Vec::new()));
    }
    let (mut shapes_left, truths) = (named(shapes)?, named(truth)?);
    let (mut pairs, mut skipped) = (Vec::new(), Vec::new());
    for (name, truth) in truths {
        match shapes_left.remove(&name) {
            Some(shape) => pairs.push((name, [shape, truth])),
            None => skipped.push(Skipped { name, reason: format!("no shape of this name in {}", shapes.display()) }),
        }
    }
    let reason = || format!("no shape of this name in {}", truth.display());
    skipped.extend(shapes_left.into_keys().map(|name| Skipped { name, reason: reason() }));
    Ok((pairs, skipped))
}

/// Meshes of a folder (or one file) by their path below it without the ending.
fn named(place: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let files = if place.is_dir() { mesh_folder(place)? } else { vec![place.to_owned()] };
    let mut found = BTreeMap::new();
    for file in files {
        let below = if place.is_dir() { file.strip_prefix(place).unwrap_or(&file) } else { &file };
        let below = if place.is_dir() { below } else { Path::new(file.file_name().unwrap_or_default()) };
        let name = below.with_extension("").to_string_lossy().into_owned();
        if let Some(other) = found.insert(name, file.clone()) {
            bail!("{} and {}: two meshes of one name; keep one of them", other.display(), file.display());
        }
    }
    Ok(found)
}

fn compared(name: &str, shape: &Path, truth: &Path, options: &ShapeOptions) -> Result<(ShapePair, [Mesh; 2])> {
    let meshes = [load_mesh(shape)?, load_mesh(truth)?];
    let [shape, truth] = &meshes;
    let pair = compare_shapes(name, shape, truth, options).with_context(|| name.to_owned())?;
    Ok((pair, meshes))
}

fn drawn(mut sheet: Sheet, pair: &ShapePair, [shape, truth]: &[Mesh; 2]) -> Result<Sheet> {
    let options = RenderOptions { side: 192, ..RenderOptions::default() };
    let figures = format!("chamfer {:.4} IoU {:.3}", pair.figures.chamfer_l1, pair.figures.iou);
    sheet = sheet.push(render(shape, View::default(), &options)?, &[pair.name.as_str(), figures.as_str()]);
    Ok(sheet.push(render(truth, View::default(), &options)?, &["true"]))
}

fn describe(report: &ShapeReport, mean: &ShapeFigures, skipped: &[Skipped]) -> String {
    let mut heading = ["shape", "chamfer L1", "L2 sq. sum", "Hausdorff", "normals"].map(String::from).to_vec();
    heading.extend(mean.f_scores.iter().map(|score| format!("F({})", score.threshold)));
    heading.extend(["IoU", "accuracy", "sound", "Euler", "parts"].map(String::from));
    let row = |name: &str, figures: &ShapeFigures, check: [String; 3]| {
        let mut row = vec![
            name.to_owned(),
            format!("{:.5}", figures.chamfer_l1),
            format!("{:.6}", figures.chamfer_l2sq_sum),
            format!("{:.4}", figures.hausdorff),
            format!("{:.4}", figures.normal_consistency),
        ];
        row.extend(figures.f_scores.iter().map(|score| format!("{:.4}", score.f_score)));
        row.extend([format!("{:.4}", figures.iou), format!("{:.4}", figures.accuracy)]);
        row.extend(check);
        row
    };
    let mut rows = vec![heading];
    for ShapePair { name, figures, check, .. } in &report.pairs {
        let sound = match (check.manifold, check.closed) {
            (true, _) => "manifold",
            (false, true) => "closed",
            (false, false) => "open",
        };
        rows.push(row(name, figures, [sound.to_owned(), check.euler.to_string(), check.components.to_string()]));
    }
    let sound = format!("{:.0} %", 100.0 * report.manifold);
    rows.push(row("mean", mean, [sound, String::new(), String::new()]));
    let mut text = table(&rows);
    text += &format!("{} shapes, {} points on each\n", report.shapes, report.options.samples);
    text + &passed_over(skipped)
}

fn distance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(distance) if distance > 0.0 && distance.is_finite() => Ok(distance),
        _ => Err(format!("expected a distance over 0, found \"{text}\"")),
    }
}
