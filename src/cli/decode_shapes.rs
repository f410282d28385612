//! `tessera decode TOKENS` of shapes

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::json;
use tessera::datasets::shape::{Mesh, save_mesh};
use tessera::tokenizers::load_tokens;
use tessera::{DecodeOptions, Error, Tokenizer};

use super::common::Common;
use super::decode::Arguments;
use super::inputs::{check_mesh_output, outputs};
use super::output::Done;

pub fn run(arguments: &Arguments, tokenizer: &dyn Tokenizer, options: &DecodeOptions, common: &Common) -> Result<Done> {
    let outputs = outputs(&arguments.tokens, &arguments.out, "ply")?;
    outputs.iter().try_for_each(|out| check_mesh_output(out))?;
    let resolution = arguments.resolution.unwrap_or(tessera::DEFAULT_RESOLUTION);
    let heading = ["mesh", "vertices", "faces", "seconds"].map(String::from).to_vec();
    let (mut rows, mut files, mut quiet) = (vec![heading], Vec::new(), Vec::new());
    for (input, out) in arguments.tokens.iter().zip(&outputs) {
        let named = || input.display().to_string();
        let file = load_tokens(input, arguments.partial)?;
        let start = Instant::now();
        let bar = common.progress(file.tokens.batch(), "shapes");
        let mut progress = |done: usize| bar.set_position(done as u64);
        let meshes =
            tessera::decode_shapes(tokenizer, &file.tokens, options, resolution, &mut progress).with_context(named)?;
        bar.finish_and_clear();
        let seconds = start.elapsed().as_secs_f64() / meshes.len().max(1) as f64;
        if let Some(item) = meshes.iter().position(Mesh::is_empty) {
            return Err(Error::NoSurface { item }).with_context(named);
        }
        for (item, mesh) in meshes.iter().enumerate() {
            let out = if meshes.len() == 1 { out.clone() } else { numbered(out, item) };
            save_mesh(&out, mesh)?;
            let (vertices, faces) = (mesh.vertices().len(), mesh.faces().len());
            rows.push(vec![
                out.display().to_string(),
                vertices.to_string(),
                faces.to_string(),
                format!("{seconds:.2}"),
            ]);
            quiet.push(out.display().to_string());
            files.push(json!({
                "input": input, "output": out, "vertices": vertices, "faces": faces, "resolution": resolution,
                "seconds": seconds,
            }));
        }
    }
    Ok(Done::of_files(&rows, &files, &quiet))
}

/// The name of one of several shapes of a token file: `chair.ply` becomes `chair-0003.ply`.
fn numbered(out: &Path, item: usize) -> PathBuf {
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    out.with_file_name(format!("{}-{item:04}.{}", part(out.file_stem()), part(out.extension())))
}
