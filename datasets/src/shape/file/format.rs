//! Tells which format a file has.

use super::bytes::{lines, shortened, u32_at};
use crate::shape::error::{Result, ShapeError};

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Ply,
    Obj,
    StlText,
    StlBinary,
    Glb,
    Gltf,
}

/// The format of a file, by its content and, where that is silent, its name.
pub(super) fn sniff(name: &str, bytes: &[u8]) -> Result<Format> {
    let text = bytes.trim_ascii_start();
    let starts = |with: &[u8]| text.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with));
    let ending = name.rsplit('.').next().unwrap_or_default().to_lowercase();
    let has_zeros = || bytes.iter().take(4096).any(|&byte| byte == 0);
    let is_ply = bytes.starts_with(b"ply") && bytes.get(3).is_some_and(u8::is_ascii_whitespace);
    match () {
        () if bytes.is_empty() => refuse(name, "an empty file"),
        () if is_ply => Ok(Format::Ply),
        () if bytes.starts_with(b"glTF") => Ok(Format::Glb),
        () if text.starts_with(b"{") => Ok(Format::Gltf),
        // Binary files may begin with the word, too: their length decides.
        () if declared_length(bytes) == Some(bytes.len() as u64) => Ok(Format::StlBinary),
        () if starts(b"solid") && !has_zeros() => Ok(Format::StlText),
        () if ending == "stl" => Ok(Format::StlBinary),
        () if ending == "obj" && !has_zeros() => Ok(Format::Obj),
        () if !has_zeros() && looks_like_obj(bytes) => Ok(Format::Obj),
        () if has_zeros() => refuse(name, "other binary data"),
        () => refuse(name, &format!("a text that begins with {:?}", beginning(bytes))),
    }
}

/// The length that a binary STL says it has.
fn declared_length(bytes: &[u8]) -> Option<u64> {
    let triangles = u32_at(bytes, 80)?;
    (triangles > 0).then(|| 84 + 50 * u64::from(triangles))
}

/// Whether one of the first lines is one that only an OBJ has.
fn looks_like_obj(bytes: &[u8]) -> bool {
    let known: [&[u8]; 6] = [b"v ", b"vn ", b"vt ", b"o ", b"g ", b"mtllib "];
    lines(bytes).take(100).any(|(_, line)| known.iter().any(|start| line.starts_with(start)))
}

fn beginning(bytes: &[u8]) -> String {
    let head = bytes.get(..40.min(bytes.len())).unwrap_or_default();
    shortened(&String::from_utf8_lossy(head))
}

fn refuse(name: &str, found: &str) -> Result<Format> {
    Err(ShapeError::NotAMesh { name: name.to_owned(), found: found.to_owned() })
}
