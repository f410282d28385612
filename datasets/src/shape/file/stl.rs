//! STL: text and binary. Corners at the same place become one vertex.

use super::bytes::{array, lines, shortened, u32_at};
use crate::shape::error::{Result, ShapeError};
use crate::shape::mesh::{Mesh, Point};

const HEADER: usize = 84;
const TRIANGLE: usize = 50;

/// Reads the binary form: 80 bytes of anything, the count, and 50 bytes for each triangle.
pub(super) fn read_binary(name: &str, bytes: &[u8]) -> Result<Mesh> {
    let count = u32_at(bytes, HEADER - 4)
        .ok_or_else(|| malformed(name, format!("{} bytes, too few for a header", bytes.len())))?;
    let body = bytes.get(HEADER..).unwrap_or_default();
    let there = body.len() / TRIANGLE;
    if there < count as usize {
        let problem = format!("a header that promises {count} triangles and {} bytes behind it", body.len());
        return Err(malformed(name, problem));
    }
    let mut corners = Vec::with_capacity(3 * count as usize);
    for triangle in body.chunks_exact(TRIANGLE).take(count as usize) {
        for corner in 1..4 {
            let number = |axis: usize| array(triangle, 12 * corner + 4 * axis).map_or(f32::NAN, f32::from_le_bytes);
            corners.push(Point::new(number(0).into(), number(1).into(), number(2).into()));
        }
    }
    weld(corners)
}

/// Reads the text form, from `solid` to `endsolid`; several solids become one mesh.
pub(super) fn read_text(name: &str, bytes: &[u8]) -> Result<Mesh> {
    let (mut corners, mut in_facet, mut is_open) = (Vec::new(), None::<usize>, false);
    for (number, line) in lines(bytes) {
        let wrong = |expected: &str| {
            let line = shortened(&String::from_utf8_lossy(line.get(..200).unwrap_or(line)));
            malformed(name, format!("line {number}, {line:?}, where {expected} should stand"))
        };
        // The name of a solid may be in any encoding, numbers are not.
        let text = String::from_utf8_lossy(line);
        let mut words = text.split_ascii_whitespace();
        match (words.next().unwrap_or_default().to_ascii_lowercase().as_str(), in_facet) {
            ("solid", None) if !is_open => is_open = true,
            ("endsolid", None) if is_open => is_open = false,
            ("facet", None) if is_open => in_facet = Some(corners.len()),
            ("vertex", Some(_)) => {
                let mut number = || words.next()?.parse::<f64>().ok();
                let mut place = || Some(Point::new(number()?, number()?, number()?));
                corners.push(place().ok_or_else(|| wrong("three numbers"))?);
            }
            ("endfacet", Some(start)) if corners.len() == start + 3 => in_facet = None,
            ("endfacet", Some(_)) => return Err(wrong("a facet of three corners")),
            ("outer" | "endloop" | "", _) => {}
            _ => return Err(wrong("solid, facet, vertex or their ends")),
        }
    }
    if is_open || in_facet.is_some() {
        return Err(malformed(name, "the end of the file before \"endsolid\"".to_owned()));
    }
    weld(corners)
}

/// A mesh of corners, three a triangle.
fn weld(corners: Vec<Point>) -> Result<Mesh> {
    let count = u32::try_from(corners.len()).unwrap_or(u32::MAX) / 3;
    let faces = (0..count).map(|face| [3 * face, 3 * face + 1, 3 * face + 2]).collect();
    Ok(Mesh::new(corners, faces)?.welded())
}

fn malformed(name: &str, problem: String) -> ShapeError {
    ShapeError::Malformed { name: name.to_owned(), format: "STL", problem }
}
