//! `tessera encode MESH`

use std::time::Instant;

use anyhow::{Context as _, Result};
use burn::tensor::Device;
use serde_json::json;
use tessera::Tokenizer;
use tessera::tokenizers::{InputKind, save_tokens};

use super::common::Common;
use super::encode::Arguments;
use super::inputs::{meshes, outputs, read_mesh};
use super::output::{Done, bytes};

pub fn run(arguments: &Arguments, tokenizer: &dyn Tokenizer, device: &Device, common: &Common) -> Result<Done> {
    let info = tokenizer.info();
    arguments.picture.refuse(info)?;
    let inputs = meshes(&arguments.inputs)?;
    let outputs = outputs(&inputs, &arguments.out, arguments.ending())?;
    let points = match info.input {
        InputKind::Points { count, .. } => count,
        _ => 0,
    };
    let heading = ["tokens of", "faces", "points", "tokens", "file", "seconds"].map(String::from).to_vec();
    let (mut rows, mut files, mut quiet) = (vec![heading], Vec::new(), Vec::new());
    let bar = common.progress(inputs.len(), "meshes");
    for (input, out) in inputs.iter().zip(&outputs) {
        let mesh = read_mesh(input, info)?;
        let start = Instant::now();
        let mut file = arguments
            .refine
            .encode(tokenizer, &mesh, common.seed.unwrap_or(0), device)
            .with_context(|| input.display().to_string())?;
        if let Some(keep) = arguments.keep {
            file.tokens = file.tokens.prefix(keep).context("--keep")?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let kept = file.tokens.kept_count();
        let bits = kept as u64 * u64::from(file.tokens.bits_per_position());
        save_tokens(out, &file)?;
        let length = std::fs::metadata(out).map(|metadata| metadata.len()).unwrap_or(0);
        rows.push(vec![
            input.display().to_string(),
            mesh.faces().len().to_string(),
            points.to_string(),
            kept.to_string(),
            bytes(length),
            format!("{seconds:.2}"),
        ]);
        files.push(json!({
            "input": input, "output": out, "faces": mesh.faces().len(), "points": points, "tokens": kept,
            "token_bits": bits, "file_bytes": length, "seconds": seconds,
        }));
        quiet.push(out.display().to_string());
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Done::of_files(&rows, &files, &quiet))
}
