//! Meshes from files and into files.
//!
//! Formats are decided by content; the file name helps only where content is silent. Counts that a file declares are compared
//! with its size before memory is asked for, so a small file cannot ask for much.

mod bytes;
mod format;
mod gltf;
mod obj;
mod ply;
mod stl;
mod write;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

pub use self::write::{save_mesh, write_glb, write_obj, write_ply};

use self::format::{Format, sniff};
use super::error::{Result, ShapeError};
use super::mesh::Mesh;
use crate::error::DatasetError;

/// The largest file that is read (2 GiB).
pub const MAX_FILE: u64 = 1 << 31;

/// Endings of file names that [`mesh_folder`] takes, in lower case.
pub const MESH_ENDINGS: [&str; 5] = ["ply", "obj", "stl", "glb", "gltf"];

/// Reads a mesh: PLY (text, both binary orders), OBJ, STL (text, binary), glTF (`.gltf` with its buffers beside it, `.glb`).
///
/// Polygons become fans of triangles. Objects, groups and the nodes of a scene become one mesh, in the scene's frame; materials,
/// colours and normals are passed over. The corners of an STL are welded where they are at the same place.
///
/// # Errors
/// [`ShapeError`]: the file cannot be read, is no mesh, contradicts itself, holds no triangles, or coordinates that are no numbers.
pub fn load_mesh(path: impl AsRef<Path>) -> Result<Mesh> {
    let path = path.as_ref();
    let bytes = read_file(path)?;
    let beside = |uri: &str| match relative(uri) {
        Some(relative) => read_file(&path.parent().unwrap_or(Path::new("")).join(relative)),
        None => Err(ShapeError::Unsupported {
            name: path.display().to_string(),
            format: "glTF",
            feature: format!("a buffer outside of its folder ({:?})", bytes::shortened(uri)),
        }),
    };
    decode(&path.display().to_string(), &bytes, &beside)
}

/// As [`load_mesh`], from bytes; `name` is used in messages, and its ending where the content is silent. A glTF must hold its buffers.
///
/// # Errors
/// As [`load_mesh`].
pub fn decode_mesh(name: &str, bytes: &[u8]) -> Result<Mesh> {
    let none = |_: &str| {
        let feature = "a buffer in another file".to_owned();
        Err(ShapeError::Unsupported { name: name.to_owned(), format: "glTF", feature })
    };
    decode(name, bytes, &none)
}

/// Paths of all files in a folder, and in folders below it, whose names end as meshes do, sorted. Hidden ones are passed over.
///
/// # Errors
/// [`ShapeError::Dataset`] if the folder cannot be listed.
pub fn mesh_folder(folder: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![folder.as_ref().to_path_buf()]);
    while let Some(folder) = open.pop() {
        let failed = |error| DatasetError::reading(&folder, error);
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
            let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
            match kind.is_dir() {
                _ if is_hidden => {}
                // A link to a folder is not followed: it may lead back here.
                true => open.push(path),
                false if is_mesh_name(&path) => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a file name ends as meshes do.
pub fn is_mesh_name(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| MESH_ENDINGS.contains(&ending.as_str()))
}

/// Reads what another file of a mesh holds, by the name that the mesh gives it.
type Beside<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>>;

fn decode(name: &str, bytes: &[u8], beside: Beside<'_>) -> Result<Mesh> {
    let mesh = match sniff(name, bytes)? {
        Format::Ply => ply::read(name, bytes),
        Format::Obj => obj::read(name, bytes),
        Format::StlText => stl::read_text(name, bytes),
        Format::StlBinary => stl::read_binary(name, bytes),
        Format::Glb => gltf::read_glb(name, bytes, beside),
        Format::Gltf => gltf::read_gltf(name, bytes, beside),
    };
    let mesh = mesh.map_err(|error| error.in_file(name))?;
    match mesh.is_empty() {
        true => Err(ShapeError::NoFaces { name: name.to_owned() }),
        false => Ok(mesh),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let failed = |error| DatasetError::reading(path, error);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(std::io::ErrorKind::IsADirectory.into()).into());
    }
    let too_large = |found| ShapeError::TooMany { what: "bytes in a file", limit: MAX_FILE, found };
    if metadata.len() > MAX_FILE {
        return Err(too_large(metadata.len()).in_file(&path.display().to_string()));
    }
    let mut bytes = Vec::new();
    // A pipe or a growing file may hold more than it said.
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > MAX_FILE {
        true => Err(too_large(bytes.len() as u64).in_file(&path.display().to_string())),
        false => Ok(bytes),
    }
}

/// A path below the mesh's own folder; `None` for anything else.
fn relative(uri: &str) -> Option<PathBuf> {
    let path = PathBuf::from(bytes::percent_decoded(uri)?);
    let is_below = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    (is_below && !uri.contains(':') && !uri.is_empty()).then_some(path)
}
