//! glTF 2.0: the triangles of a scene. Materials, skins, morphs and animations are passed over.

mod accessor;
mod document;
mod scene;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::document::Document;
use super::Beside;
use super::bytes::{array, percent_decoded, shortened, u32_at};
use crate::shape::error::{Result, ShapeError};
use crate::shape::mesh::Mesh;

const JSON: &[u8; 4] = b"JSON";
const BIN: &[u8; 4] = b"BIN\0";

/// Extensions that change nothing about the triangles.
const HARMLESS: [&str; 5] =
    ["KHR_mesh_quantization", "KHR_texture_", "KHR_materials_", "KHR_lights_punctual", "EXT_texture_webp"];

/// Reads the binary form: a document and the first buffer in one file.
pub(super) fn read_glb(name: &str, bytes: &[u8], beside: Beside<'_>) -> Result<Mesh> {
    let wrong = |problem: &str| malformed(name, problem);
    let header = (u32_at(bytes, 4), u32_at(bytes, 8));
    let (Some(version), Some(length)) = header else {
        return Err(wrong("a file that ends within its header"));
    };
    if version != 2 {
        return Err(wrong(&format!("version {version}, where 2 is read")));
    }
    let file = bytes.get(..length as usize).ok_or_else(|| wrong("a file that ends before its content does"))?;
    let (mut json, mut binary, mut at) = (None, None, 12);
    while at < file.len() {
        let cut = || wrong("a chunk that ends beyond the file");
        let (length, kind) = (u32_at(file, at).ok_or_else(cut)?, array::<4>(file, at + 4).ok_or_else(cut)?);
        let end = (at + 8).checked_add(length as usize).ok_or_else(cut)?;
        let chunk = file.get(at + 8..end).ok_or_else(cut)?;
        match &kind {
            JSON if json.is_none() => json = Some(chunk),
            BIN if binary.is_none() => binary = Some(chunk),
            _ => {}
        }
        at = end.next_multiple_of(4);
    }
    read_document(name, json.ok_or_else(|| wrong("no JSON in it"))?, binary, beside)
}

/// Reads the text form; its buffers are in the text itself or beside the file.
pub(super) fn read_gltf(name: &str, bytes: &[u8], beside: Beside<'_>) -> Result<Mesh> {
    read_document(name, bytes, None, beside)
}

fn read_document(name: &str, json: &[u8], binary: Option<&[u8]>, beside: Beside<'_>) -> Result<Mesh> {
    let document: Document =
        serde_json::from_slice(json).map_err(|error| malformed(name, &shortened(&error.to_string())))?;
    if !document.asset.version.starts_with("2.") {
        return Err(malformed(name, &format!("version {:?}, where 2.0 is read", shortened(&document.asset.version))));
    }
    let is_harmless = |extension: &&String| HARMLESS.iter().any(|known| extension.starts_with(known));
    if let Some(extension) = document.extensions_required.iter().find(|extension| !is_harmless(extension)) {
        let feature = format!("the extension {:?}", shortened(extension));
        return Err(ShapeError::Unsupported { name: name.to_owned(), format: "glTF", feature });
    }
    let mut buffers = Vec::new();
    for (index, buffer) in document.buffers.iter().enumerate() {
        let mut bytes = match (&buffer.uri, binary) {
            (Some(uri), _) => bytes_of(name, uri, beside)?,
            (None, Some(binary)) if index == 0 => binary.to_vec(),
            (None, _) => return Err(malformed(name, &format!("buffer {index} without content"))),
        };
        if (bytes.len() as u64) < buffer.byte_length {
            let problem =
                format!("buffer {index} of {} bytes, where {} were promised", bytes.len(), buffer.byte_length);
            return Err(malformed(name, &problem));
        }
        bytes.truncate(usize::try_from(buffer.byte_length).unwrap_or(usize::MAX));
        buffers.push(bytes);
    }
    scene::read(name, &document, &buffers)
}

/// The content of a `data:` address, or of a file beside the mesh.
fn bytes_of(name: &str, uri: &str, beside: Beside<'_>) -> Result<Vec<u8>> {
    let Some(data) = uri.strip_prefix("data:") else {
        return beside(uri);
    };
    let text = data.split_once(";base64,").map(|(_, text)| text);
    let text = text.and_then(|text| if text.contains('%') { percent_decoded(text) } else { Some(text.to_owned()) });
    let text = text.ok_or_else(|| malformed(name, "a data address that is not base64"))?;
    STANDARD.decode(text.trim_end()).map_err(|error| malformed(name, &format!("a buffer that is not base64 ({error})")))
}

fn malformed(name: &str, problem: &str) -> ShapeError {
    ShapeError::Malformed { name: name.to_owned(), format: "glTF", problem: problem.to_owned() }
}
