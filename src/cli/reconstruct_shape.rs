//! `tessera reconstruct MESH`

use std::time::Instant;

use anyhow::{Context as _, Result};
use burn::tensor::Device;
use serde_json::json;
use tessera::Tokenizer;
use tessera::datasets::shape::{Mesh, RenderOptions, View, check_mesh, render};
use tessera::datasets::{Picture, Sheet, save_png};
use tessera::eval::{ShapeOptions, ShapePrefix, shape_prefixes};

use super::common::Common;
use super::counts::counts;
use super::inputs::read_mesh;
use super::output::{Done, bytes, table};
use super::reconstruct::Arguments;

/// Side of a view in pixels.
pub(super) const SIDE: u32 = 192;

/// Points on each surface, and places in the box, that are compared.
const COMPARED: usize = 30_000;

pub fn run(arguments: &Arguments, tokenizer: &dyn Tokenizer, device: &Device, common: &Common) -> Result<Done> {
    let info = tokenizer.info();
    arguments.picture.refuse(info)?;
    let resolution = arguments.resolution.unwrap_or(tessera::DEFAULT_RESOLUTION);
    let named = || arguments.input.display().to_string();
    let mesh = read_mesh(&arguments.input, info)?;
    let original = mesh.normalised().with_context(named)?;
    let seed = common.seed.unwrap_or(0);
    let start = Instant::now();
    let tokens = arguments.refine.encode(tokenizer, &mesh, seed, device).with_context(named)?.tokens;
    let encoded = start.elapsed().as_secs_f64();
    let counts = counts(&arguments.tokens, info, tokens.positions())?;

    let comparison = ShapeOptions { samples: COMPARED, places: COMPARED, seed, normalise: false, ..Default::default() };
    let faces = format!("{} faces", mesh.faces().len());
    let mut sheet = Sheet::new().with_cell_side(SIDE).push(drawn(&original)?, &["original".to_owned(), faces]);
    let heading =
        ["scales", "tokens", "file", "F-score", "chamfer L1", "IoU", "faces", "seconds"].map(String::from).to_vec();
    let (mut rows, mut results, mut quiet) = (vec![heading], Vec::new(), Vec::new());
    let bar = common.progress(counts.len(), "shapes");
    let mut done = || bar.inc(1);
    for prefix in shape_prefixes(tokenizer, &tokens, &counts, resolution, &original, &comparison, &mut done)? {
        let ShapePrefix { scales, tokens, file_bytes, mesh, figures, decode_seconds, .. } = &prefix;
        let (f_score, chamfer, labels) = said(&prefix);
        sheet = sheet.push(drawn(mesh)?, &labels);
        rows.push(vec![
            scales.to_string(),
            tokens.to_string(),
            bytes(*file_bytes as u64),
            f_score.clone(),
            chamfer.clone(),
            number(figures.as_ref().map(|figures| figures.iou), 4),
            mesh.faces().len().to_string(),
            format!("{decode_seconds:.2}"),
        ]);
        quiet.push(format!("{tokens} {file_bytes} {f_score} {chamfer}"));
        results.push(json!({
            "scales": scales, "tokens": tokens, "file_bytes": file_bytes, "vertices": mesh.vertices().len(),
            "faces": mesh.faces().len(), "has_surface": figures.is_some(), "figures": figures,
            "check": figures.is_some().then(|| check_mesh(mesh)), "decode_seconds": decode_seconds,
        }));
    }
    bar.finish_and_clear();
    save_png(&arguments.out, &sheet.draw()?)?;
    let out = arguments.out.display();
    let text = format!(
        "{}F-scores count distances under 0.02 as near; {resolution} samples a side; encoded in {encoded:.2} s\nwrote {out}\n",
        table(&rows)
    );
    Ok(Done {
        text,
        json: json!({
            "input": arguments.input, "output": arguments.out, "resolution": resolution, "encode_seconds": encoded,
            "comparison": comparison, "reconstructions": results, "peak_memory_bytes": tessera::peak_memory(),
        }),
        quiet: quiet.join("\n"),
        passed: true,
    })
}

/// A shape as it is drawn on a sheet.
pub(super) fn drawn(mesh: &Mesh) -> Result<Picture> {
    Ok(render(mesh, View::default(), &RenderOptions { side: SIDE, ..RenderOptions::default() })?)
}

/// F-score, Chamfer distance, and the lines below the picture.
pub(super) fn said(prefix: &ShapePrefix) -> (String, String, Vec<String>) {
    let figures = prefix.figures.as_ref();
    let score = figures.and_then(|figures| figures.f_scores.first());
    let f_score = number(score.map(|score| score.f_score), 4);
    let chamfer = number(figures.map(|figures| figures.chamfer_l1), 5);
    let plural = if prefix.tokens == 1 { "" } else { "s" };
    let mut labels = vec![format!("{} token{plural}", prefix.tokens), bytes(prefix.file_bytes as u64)];
    match figures {
        None => labels.push("no surface".to_owned()),
        Some(_) => labels.extend([format!("F-score {f_score}"), format!("chamfer {chamfer}")]),
    }
    (f_score, chamfer, labels)
}

/// A number, or that there is none.
pub(super) fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("none".to_owned(), |value| format!("{value:.digits$}"))
}
