//! OBJ: the lines `v` and `f`; all others are passed over.

use super::bytes::{fan, lines, shortened};
use crate::shape::error::{Result, ShapeError};
use crate::shape::mesh::{Mesh, Point};

/// Reads vertices and faces of all objects and groups; corners may count from the end, as `-1`.
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Mesh> {
    let (mut vertices, mut faces, mut corners) = (Vec::new(), Vec::new(), Vec::new());
    let mut long = Vec::new();
    for (number, line) in lines(bytes) {
        // A line that ends in a backslash goes on in the next one.
        if let Some(part) = line.strip_suffix(b"\\") {
            long.extend_from_slice(part);
            long.push(b' ');
            continue;
        }
        let line = if long.is_empty() {
            line
        } else {
            long.extend_from_slice(line);
            &long
        };
        if let Some(rest) = after(line, b'v') {
            vertices.push(vertex(rest).ok_or_else(|| malformed(name, number, line, "three numbers"))?);
        } else if let Some(rest) = after(line, b'f') {
            corners.clear();
            for word in rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
                let corner = corner(word, vertices.len());
                corners.push(corner.ok_or_else(|| malformed(name, number, line, "vertices counted from 1"))?);
            }
            if corners.len() < 3 {
                return Err(malformed(name, number, line, "at least three corners"));
            }
            faces.extend(fan(&corners));
        }
        long.clear();
    }
    Mesh::new(vertices, faces)
}

/// What follows the word `v` or `f`.
fn after(line: &[u8], word: u8) -> Option<&[u8]> {
    let (first, rest) = line.split_first()?;
    (*first == word && rest.first().is_some_and(u8::is_ascii_whitespace)).then_some(rest)
}

fn vertex(rest: &[u8]) -> Option<Point> {
    let mut numbers = std::str::from_utf8(rest).ok()?.split_ascii_whitespace().map(str::parse::<f64>);
    let mut next = || numbers.next()?.ok();
    Some(Point::new(next()?, next()?, next()?))
}

/// The vertex of a corner such as `7`, `7/1`, `7//3` or `-1/2/3`, counted from 0.
fn corner(word: &[u8], vertices: usize) -> Option<u32> {
    let index = word.split(|&byte| byte == b'/').next()?;
    let index: i64 = std::str::from_utf8(index).ok()?.parse().ok()?;
    match index {
        1.. => u32::try_from(index - 1).ok(),
        0 => None,
        _ => u32::try_from(i64::try_from(vertices).ok()?.checked_add(index)?).ok(),
    }
}

fn malformed(name: &str, number: usize, line: &[u8], expected: &str) -> ShapeError {
    let line = shortened(&String::from_utf8_lossy(line.get(..200).unwrap_or(line)));
    let problem = format!("line {number}, {line:?}, where {expected} should stand");
    ShapeError::Malformed { name: name.to_owned(), format: "OBJ", problem }
}
