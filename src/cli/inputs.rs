//! Files that the user named, and the files that results go to.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use tessera::datasets::{LoadOptions, Picture, decode_picture, image_folder, load_picture};

/// The pictures named: files, folders (every picture in them and below) or `-` for standard input.
pub fn pictures(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for path in named {
        if path.is_dir() {
            let found = image_folder(path, true)?;
            ensure!(
                !found.is_empty(),
                "{}: expected pictures (PNG, JPEG or WebP), found none in this folder",
                path.display()
            );
            paths.extend(found);
        } else {
            paths.push(path.clone());
        }
    }
    Ok(paths)
}

/// Reads a picture from a file or, for `-`, from standard input.
pub fn read_picture(path: &Path, options: &LoadOptions) -> Result<Picture> {
    if path != Path::new("-") {
        return Ok(load_picture(path, options)?);
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(MOST_INPUT).read_to_end(&mut bytes).context("standard input")?;
    Ok(decode_picture(&bytes, "standard input", options)?)
}

/// Most bytes that are read of standard input.
const MOST_INPUT: u64 = 1 << 30;

/// Where each result goes: a single one to `out` itself unless that is a folder, several into the folder `out`, which is
/// made if its parent exists.
pub fn outputs(inputs: &[PathBuf], out: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let is_folder = out.is_dir() || out.as_os_str().to_string_lossy().ends_with('/');
    if inputs.len() == 1 && !is_folder {
        return Ok(vec![out.to_owned()]);
    }
    if !out.exists() {
        std::fs::create_dir(out).with_context(|| format!("{}: the folder could not be made", out.display()))?;
    }
    ensure!(out.is_dir(), "{}: expected a folder for {} results, found a file", out.display(), inputs.len());
    let mut results = Vec::with_capacity(inputs.len());
    for input in inputs {
        let stem =
            if input == Path::new("-") { "stdin".into() } else { input.file_stem().unwrap_or_default().to_owned() };
        let mut name = stem.clone();
        name.push(".");
        name.push(ending);
        let result = out.join(name);
        if results.contains(&result) {
            bail!(
                "{}: two inputs are named \"{}\": give them folders of their own",
                result.display(),
                stem.to_string_lossy()
            );
        }
        results.push(result);
    }
    Ok(results)
}
