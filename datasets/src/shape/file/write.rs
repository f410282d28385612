//! Writing meshes. Coordinates are written in single precision, as nearly every reader expects.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use crate::save::write_atomically;
use crate::shape::error::{Result, ShapeError};
use crate::shape::mesh::{Mesh, Point};

/// Writes a mesh, completely or not at all, in the format of the path's ending: `.ply` (binary, little-endian), `.obj` or `.glb`.
///
/// # Errors
/// [`ShapeError::UnknownEnding`], [`ShapeError::NoFaces`] for an empty mesh (no reader takes one), or
/// [`ShapeError::Dataset`] as [`write_atomically`] has them.
pub fn save_mesh(path: impl AsRef<Path>, mesh: &Mesh) -> Result<()> {
    let path = path.as_ref();
    let name = path.display().to_string();
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    let write: fn(&mut dyn Write, &Mesh) -> io::Result<()> = match ending.as_str() {
        "ply" => |file, mesh| write_ply(file, mesh),
        "obj" => |file, mesh| write_obj(file, mesh),
        "glb" => |file, mesh| write_glb(file, mesh),
        _ => return Err(ShapeError::UnknownEnding { name }),
    };
    if mesh.is_empty() {
        return Err(ShapeError::NoFaces { name });
    }
    Ok(write_atomically(path, |file| write(file, mesh))?)
}

/// Writes a binary, little-endian PLY: `float x, y, z`, and for each face `uchar 3` and three `int`.
///
/// # Errors
/// Those of `file`.
pub fn write_ply(file: &mut dyn Write, mesh: &Mesh) -> io::Result<()> {
    write!(
        file,
        "ply\nformat binary_little_endian 1.0\ncomment tessera\nelement vertex {}\nproperty float x\nproperty float y\n\
         property float z\nelement face {}\nproperty list uchar int vertex_indices\nend_header\n",
        mesh.vertices().len(),
        mesh.faces().len()
    )?;
    write_places(file, mesh)?;
    for face in mesh.faces() {
        let mut bytes = [3; 13];
        for (bytes, index) in bytes.iter_mut().skip(1).zip(face.iter().flat_map(|index| index.to_le_bytes())) {
            *bytes = index;
        }
        file.write_all(&bytes)?;
    }
    Ok(())
}

/// Writes an OBJ of `v` and `f` lines.
///
/// # Errors
/// Those of `file`.
pub fn write_obj(file: &mut dyn Write, mesh: &Mesh) -> io::Result<()> {
    for vertex in mesh.vertices() {
        let [x, y, z] = single(vertex);
        writeln!(file, "v {x} {y} {z}")?;
    }
    for [a, b, c] in mesh.faces() {
        writeln!(file, "f {} {} {}", u64::from(*a) + 1, u64::from(*b) + 1, u64::from(*c) + 1)?;
    }
    Ok(())
}

/// Writes a binary glTF of one mesh in one scene.
///
/// # Errors
/// Those of `file`; a mesh of more than four gigabytes.
pub fn write_glb(file: &mut dyn Write, mesh: &Mesh) -> io::Result<()> {
    let (places, corners) = (12 * mesh.vertices().len(), 12 * mesh.faces().len());
    let mut low = [f32::INFINITY; 3];
    let mut high = [f32::NEG_INFINITY; 3];
    for vertex in mesh.vertices() {
        for ((low, high), value) in low.iter_mut().zip(&mut high).zip(single(vertex)) {
            (*low, *high) = (low.min(value), high.max(value));
        }
    }
    let document = json!({
        "asset": { "version": "2.0", "generator": "tessera" },
        "scene": 0,
        "scenes": [{ "nodes": [0] }],
        "nodes": [{ "mesh": 0 }],
        "meshes": [{ "primitives": [{ "attributes": { "POSITION": 0 }, "indices": 1 }] }],
        "accessors": [
            { "bufferView": 0, "componentType": 5126, "count": mesh.vertices().len(), "type": "VEC3", "min": low, "max": high },
            { "bufferView": 1, "componentType": 5125, "count": 3 * mesh.faces().len(), "type": "SCALAR" },
        ],
        "bufferViews": [
            { "buffer": 0, "byteLength": places, "target": 34962 },
            { "buffer": 0, "byteOffset": places, "byteLength": corners, "target": 34963 },
        ],
        "buffers": [{ "byteLength": places + corners }],
    });
    let mut text = document.to_string();
    while !text.len().is_multiple_of(4) {
        text.push(' ');
    }
    let size = |bytes: usize| u32::try_from(bytes).map_err(|_| io::Error::other("a GLB holds at most four gigabytes"));
    let (text_size, data_size) = (size(text.len())?, size(places + corners)?);
    let total = size(28 + text.len() + places + corners)?;
    file.write_all(b"glTF")?;
    for number in [2, total, text_size] {
        file.write_all(&number.to_le_bytes())?;
    }
    file.write_all(b"JSON")?;
    file.write_all(text.as_bytes())?;
    file.write_all(&data_size.to_le_bytes())?;
    file.write_all(b"BIN\0")?;
    write_places(file, mesh)?;
    mesh.faces().iter().flatten().try_for_each(|index| file.write_all(&index.to_le_bytes()))
}

fn write_places(file: &mut dyn Write, mesh: &Mesh) -> io::Result<()> {
    mesh.vertices().iter().flat_map(single).try_for_each(|value| file.write_all(&value.to_le_bytes()))
}

/// In single precision; no coordinate of a mesh is beyond its range.
fn single(vertex: &Point) -> [f32; 3] {
    [vertex.x as f32, vertex.y as f32, vertex.z as f32]
}
