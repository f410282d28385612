//! Files that the user named, and the files that results go to.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use tessera::datasets::shape::{Mesh, ShapeError, decode_mesh, is_mesh_name, load_mesh, mesh_folder, save_mesh};
use tessera::datasets::{LoadOptions, Picture, decode_picture, image_folder, load_picture};
use tessera::tokenizers::TokenizerInfo;

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

/// The meshes named: files, folders (every mesh in them and below) or `-` for standard input.
pub fn meshes(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for path in named {
        if path.is_dir() {
            let found = mesh_folder(path)?;
            ensure!(
                !found.is_empty(),
                "{}: expected meshes (PLY, OBJ, STL, GLB or glTF), found none in this folder",
                path.display()
            );
            paths.extend(found);
        } else {
            paths.push(path.clone());
        }
    }
    Ok(paths)
}

/// Reads a mesh for a model from a file or, for `-`, from standard input.
pub fn read_mesh(path: &Path, info: &TokenizerInfo) -> Result<Mesh> {
    let read = match path == Path::new("-") {
        true => {
            let mut bytes = Vec::new();
            std::io::stdin().lock().take(MOST_INPUT).read_to_end(&mut bytes).context("standard input")?;
            decode_mesh("standard input", &bytes)
        }
        false => load_mesh(path),
    };
    let architecture = info.architecture;
    read.map_err(|error| match error {
        ShapeError::NotAMesh { .. } if load_picture(path, &LoadOptions::default()).is_ok() => anyhow!(
            "{}: {architecture} takes meshes (PLY, OBJ, STL, GLB or glTF), found a picture; name a model of pictures with --model",
            path.display()
        ),
        ShapeError::NotAMesh { .. } => {
            anyhow::Error::from(error).context(format!("{architecture} takes meshes"))
        }
        error => error.into(),
    })
}

/// Whether a path is a mesh, or a folder that holds meshes and no pictures.
pub fn holds_meshes(path: &Path) -> bool {
    if !path.is_dir() {
        return is_mesh_name(path);
    }
    let has_pictures = || image_folder(path, true).is_ok_and(|found| !found.is_empty());
    mesh_folder(path).is_ok_and(|found| !found.is_empty()) && !has_pictures()
}

/// Refuses a mesh as the input of a model of pictures.
pub fn refuse_mesh(path: &Path, info: &TokenizerInfo) -> Result<()> {
    ensure!(
        !is_mesh_name(path),
        "{}: {} takes pictures (PNG, JPEG or WebP), found a mesh; name a model of shapes with --model",
        path.display(),
        info.architecture
    );
    Ok(())
}

/// Refuses a file name that no mesh can be written to.
pub fn check_mesh_output(path: &Path) -> Result<()> {
    // The ending is judged first, and an empty mesh is written nowhere.
    match save_mesh(path, &Mesh::default()) {
        Err(error @ ShapeError::UnknownEnding { .. }) => Err(error.into()),
        _ => Ok(()),
    }
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
