//! `tessera reconstruct MESH`

use std::time::Instant;

use anyhow::{Context as _, Result};
use burn::tensor::Device;
use serde_json::json;
use tessera::datasets::shape::{Mesh, RenderOptions, View, check_mesh, render};
use tessera::datasets::{Sheet, save_png};
use tessera::eval::{ShapeOptions, compare_shapes};
use tessera::tokenizers::{TokenFile, write_tsr};
use tessera::{DecodeOptions, Error, Tokenizer};

use super::common::Common;
use super::counts::counts;
use super::inputs::read_mesh;
use super::output::{Done, bytes, table};
use super::reconstruct::Arguments;

/// Side of a view in pixels.
const SIDE: u32 = 192;

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
    let tokens = tessera::encode_shape(tokenizer, &mesh, seed, device).with_context(named)?.tokens;
    let encoded = start.elapsed().as_secs_f64();
    let counts = counts(&arguments.tokens, info, tokens.positions())?;

    // Both shapes stand in the model's box already.
    let comparison = ShapeOptions { samples: COMPARED, places: COMPARED, seed, normalise: false, ..Default::default() };
    let drawing = RenderOptions { side: SIDE, ..RenderOptions::default() };
    let drawn = |mesh: &Mesh| render(mesh, View::default(), &drawing);
    let faces = format!("{} faces", mesh.faces().len());
    let mut sheet = Sheet::new().with_cell_side(SIDE).push(drawn(&original)?, &["original".to_owned(), faces]);
    let heading =
        ["scales", "tokens", "file", "F-score", "chamfer L1", "IoU", "faces", "seconds"].map(String::from).to_vec();
    let (mut rows, mut results, mut quiet) = (vec![heading], Vec::new(), Vec::new());
    let ends = tessera::scale_ends(&info.layout);
    let bar = common.progress(counts.len(), "shapes");
    for keep in counts {
        let kept = TokenFile::new(tokens.clone().prefix(keep).context("--tokens")?);
        let length = write_tsr(&kept)?.len() as u64;
        let start = Instant::now();
        let decoded = match tessera::decode_shape(tokenizer, &kept.tokens, &DecodeOptions::default(), resolution) {
            Err(Error::NoSurface { .. }) => Mesh::default(),
            decoded => decoded?,
        };
        let seconds = start.elapsed().as_secs_f64();
        let figures = match decoded.is_empty() {
            true => None,
            false => Some(compare_shapes("", &decoded, &original, &comparison)?.figures),
        };
        let score = figures.as_ref().and_then(|figures| figures.f_scores.first());
        let scales = ends.iter().filter(|&&end| end <= keep).count();
        let number = |value: Option<f64>, digits: usize| value.map_or("none".to_owned(), |v| format!("{v:.digits$}"));
        let f_score = number(score.map(|score| score.f_score), 4);
        let chamfer = number(figures.as_ref().map(|figures| figures.chamfer_l1), 5);
        let iou = number(figures.as_ref().map(|figures| figures.iou), 4);
        let plural = if keep == 1 { "" } else { "s" };
        let mut labels = vec![format!("{keep} token{plural}"), bytes(length)];
        match figures {
            None => labels.push("no surface".to_owned()),
            Some(_) => labels.extend([format!("F-score {f_score}"), format!("chamfer {chamfer}")]),
        }
        sheet = sheet.push(drawn(&decoded)?, &labels);
        rows.push(vec![
            scales.to_string(),
            keep.to_string(),
            bytes(length),
            f_score.clone(),
            chamfer.clone(),
            iou,
            decoded.faces().len().to_string(),
            format!("{seconds:.2}"),
        ]);
        quiet.push(format!("{keep} {length} {f_score} {chamfer}"));
        results.push(json!({
            "scales": scales, "tokens": keep, "file_bytes": length, "vertices": decoded.vertices().len(),
            "faces": decoded.faces().len(), "has_surface": figures.is_some(), "figures": figures,
            "check": figures.is_some().then(|| check_mesh(&decoded)), "decode_seconds": seconds,
        }));
        bar.inc(1);
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
