//! `tessera eval --model MODEL MESHES`

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tessera::datasets::shape::{Mesh, ProceduralShapes, load_mesh, mesh_folder};
use tessera::datasets::{Sheet, save_png};
use tessera::eval::{PrefixMean, ShapeEvaluation, ShapeModelReport, ShapeOptions, ShapePrefix, shape_prefixes};
use tessera::shaders::device::describe;

use super::common::Common;
use super::counts::counts;
use super::eval::{Arguments, prepare, write_report};
use super::inputs::holds_meshes;
use super::output::{Done, Skipped, passed_over, table};
use super::reconstruct_shape::{SIDE, drawn, number, said};

/// Shapes that are drawn with all their prefixes.
const SHOWN: usize = 8;

/// Samples along a side of the lattice on which surfaces of procedural shapes are found.
const LATTICE: usize = 97;

/// Seed of the procedural shapes; that of a training is another, as long as nobody asks for this one.
const SOLIDS: u64 = 0x50_11d5;

/// Where shapes come from.
enum Shape {
    File(PathBuf),
    Procedural(u64),
}

impl Shape {
    fn name(&self) -> String {
        match self {
            Self::File(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Procedural(index) => format!("solid {index}"),
        }
    }

    fn mesh(&self) -> Result<Mesh> {
        Ok(match self {
            Self::File(path) => load_mesh(path)?,
            Self::Procedural(index) => ProceduralShapes::new(SOLIDS).shape(*index, LATTICE)?.1,
        })
    }
}

pub fn run(arguments: &Arguments, common: &Common) -> Result<Done> {
    let shapes = shapes(arguments)?;
    if let Some(folder) = &arguments.out {
        prepare(folder)?;
    }
    let device = common.open_device()?;
    let tokenizer = common.open_tokenizer(true, &device)?;
    let info = tokenizer.info();
    if !tessera::is_of_shapes(info) {
        return Err(tessera::Error::NotOfShapes.into());
    }
    let wanted = counts(&arguments.tokens, info, info.layout.positions())?;
    let options = ShapeOptions { normalise: false, ..arguments.shapes.options(common) };
    let resolution = arguments.shapes.resolution();
    let seed = common.seed.unwrap_or(0);
    let start = Instant::now();
    let mut evaluation = ShapeEvaluation::new(options.clone(), resolution, &info.vocab);
    let (mut measured, mut skipped) = (Vec::new(), Vec::new());
    let mut cells = Vec::new();
    let bar = common.progress(shapes.len(), "shapes");
    for shape in &shapes {
        let name = shape.name();
        let mut one = || -> Result<Vec<ShapePrefix>> {
            let mesh = shape.mesh()?.normalised()?;
            let tokens = arguments.shapes.refine().encode(&*tokenizer, &mesh, seed, &device)?.tokens;
            let prefixes = shape_prefixes(&*tokenizer, &tokens, &wanted, resolution, &mesh, &options, &mut || {})?;
            evaluation.add(&tokens, &prefixes)?;
            if arguments.out.is_some() && measured.len() < SHOWN {
                let mut row = vec![(drawn(&mesh)?, vec![name.clone()])];
                for prefix in &prefixes {
                    row.push((drawn(&prefix.mesh)?, said(prefix).2));
                }
                cells.extend(row);
            }
            Ok(prefixes)
        };
        match one().with_context(|| name.clone()) {
            Ok(prefixes) => measured.push(json!({
                "name": name,
                "prefixes": prefixes.iter().map(|prefix| json!({"tokens": prefix.tokens, "figures": prefix.figures})).collect::<Vec<_>>(),
            })),
            Err(error) if arguments.strict => return Err(error),
            Err(error) => skipped.push(Skipped { name, reason: format!("{error:#}") }),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let reason = skipped.first().map_or("", |skipped| skipped.reason.as_str());
    ensure!(!measured.is_empty(), "none of {} shapes could be measured, the first because: {reason}", shapes.len());
    let report = evaluation.report();
    let json = json!({
        "tessera": env!("CARGO_PKG_VERSION"),
        "device": describe(&device),
        "model": info.architecture,
        "seconds": start.elapsed().as_secs_f64(),
        "peak_memory_bytes": tessera::peak_memory(),
        "skipped": skipped,
        "shapes": measured,
        "report": report,
    });
    let mut text = describe_report(&report, &skipped);
    if let Some(folder) = &arguments.out {
        text += &write_report(folder, &json)?;
        let path = folder.join("shapes.png");
        let width = (SIDE + 8).saturating_mul(u32::try_from(wanted.len() + 1).unwrap_or(u32::MAX)).saturating_add(8);
        let sheet = Sheet::new().with_cell_side(SIDE).with_max_width(width);
        let sheet = cells.into_iter().fold(sheet, |sheet, (picture, lines)| sheet.push(picture, &lines));
        save_png(&path, &sheet.draw()?)?;
        text += &format!("wrote {}\n", path.display());
    }
    let quiet = report.prefixes.iter().map(|mean| {
        let score = mean.f_scores.first().copied().unwrap_or_default();
        format!("{} {score:.6} {:.6}", mean.tokens, mean.iou)
    });
    Ok(Done { text, json, quiet: quiet.collect::<Vec<_>>().join("\n"), passed: true })
}

/// The meshes, or as many procedural shapes as are asked for.
fn shapes(arguments: &Arguments) -> Result<Vec<Shape>> {
    let mut shapes = Vec::new();
    for place in &arguments.data {
        let files = if place.is_dir() { mesh_folder(place)? } else { vec![place.clone()] };
        shapes.extend(files.into_iter().map(Shape::File));
    }
    shapes.extend((0..arguments.shapes.solids()).map(Shape::Procedural));
    shapes.truncate(arguments.limit.unwrap_or(usize::MAX));
    Ok(shapes)
}

fn describe_report(report: &ShapeModelReport, skipped: &[Skipped]) -> String {
    let mut heading = ["scales", "tokens", "file bytes"].map(String::from).to_vec();
    heading.extend(report.options.thresholds.iter().map(|threshold| format!("F({threshold})")));
    heading.extend(["IoU", "chamfer L1", "normals", "surfaces"].map(String::from));
    let row = |mean: &PrefixMean| {
        let mut row = vec![mean.scales.to_string(), mean.tokens.to_string(), format!("{:.0}", mean.file_bytes)];
        row.extend(mean.f_scores.iter().map(|score| format!("{score:.4}")));
        row.extend([format!("{:.4}", mean.iou), number(mean.chamfer_l1, 5), number(mean.normal_consistency, 4)]);
        row.push(format!("{}/{}", mean.surfaces, report.shapes));
        row
    };
    let rows: Vec<_> = std::iter::once(heading).chain(report.prefixes.iter().map(row)).collect();
    let mut text = table(&rows);
    let usage = report.usage.first();
    text += &format!(
        "{} shapes, {} points on each, {} samples a side; neighbouring prefixes share an IoU of {}; {:.1} % of the codes used, \
         perplexity {:.0}\n",
        report.shapes,
        report.options.samples,
        report.resolution,
        number(report.cross_scale_iou, 4),
        usage.map_or(0.0, |usage| 100.0 * usage.share),
        usage.map_or(0.0, |usage| usage.perplexity),
    );
    text + &passed_over(skipped)
}

/// Whether the data are shapes for a model, rather than two folders to compare.
pub fn is_asked(arguments: &Arguments) -> bool {
    let asks_model = arguments.shapes.solids() > 0 || arguments.data.len() == 1;
    asks_model && arguments.data.iter().all(|place| holds_meshes(place))
}
