//! [`Mesh`]: triangles over shared vertices.

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use super::error::{Result, ShapeError};

/// A place in space. Frames are right-handed; a normalised shape lies in `[-1, 1]^3`.
pub type Point = Point3<f64>;

/// A direction or a difference of two places.
pub type Vector = Vector3<f64>;

/// The largest coordinate of a mesh: its square and the products of three still fit a double.
pub const MAX_COORDINATE: f64 = 1e30;

/// The most vertices, and the most faces, of a mesh (268,435,456).
pub const MAX_ELEMENTS: usize = 1 << 28;

/// Triangles over shared vertices: every coordinate is a number within [`MAX_COORDINATE`], every face names vertices that are
/// there. Corners run counter-clockwise seen from outside.
///
/// A mesh may be empty, open, not manifold, and have faces without area; [`check_mesh`](super::check_mesh) tells.
#[derive(Clone, Default, PartialEq)]
pub struct Mesh {
    vertices: Vec<Point>,
    faces: Vec<[u32; 3]>,
}

impl std::fmt::Debug for Mesh {
    /// Only the counts: megabytes of numbers help nobody in a failed assertion.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mesh({} vertices, {} faces)", self.vertices.len(), self.faces.len())
    }
}

impl Mesh {
    /// Checks and wraps `vertices` `[count]` and `faces` `[count]` of three indices each.
    ///
    /// # Errors
    /// [`ShapeError::Coordinate`], [`ShapeError::Corner`] or [`ShapeError::TooMany`].
    pub fn new(vertices: Vec<Point>, faces: Vec<[u32; 3]>) -> Result<Self> {
        at_most("vertices", vertices.len())?;
        at_most("faces", faces.len())?;
        for (vertex, place) in vertices.iter().enumerate() {
            if let Some(&value) = place.iter().find(|value| !is_place(**value)) {
                return Err(ShapeError::Coordinate { vertex, value });
            }
        }
        for (face, corners) in faces.iter().enumerate() {
            if let Some(&index) = corners.iter().find(|&&index| index as usize >= vertices.len()) {
                return Err(ShapeError::Corner { face, index: index.into(), vertices: vertices.len() });
            }
        }
        Ok(Self { vertices, faces })
    }

    /// For callers inside the crate whose faces are right by construction.
    pub(crate) fn from_parts(vertices: Vec<Point>, faces: Vec<[u32; 3]>) -> Self {
        debug_assert!(faces.iter().flatten().all(|&index| (index as usize) < vertices.len()));
        Self { vertices, faces }
    }

    /// All vertices, used or not.
    pub fn vertices(&self) -> &[Point] {
        &self.vertices
    }

    /// All faces, as indices of vertices.
    pub fn faces(&self) -> &[[u32; 3]] {
        &self.faces
    }

    /// Whether there is no face.
    pub fn is_empty(&self) -> bool {
        self.faces.is_empty()
    }

    /// The corners of a face of this mesh.
    pub(crate) fn triangle(&self, face: [u32; 3]) -> [Point; 3] {
        face.map(|index| self.vertices[index as usize])
    }

    /// The corners of every face, in order.
    pub fn triangles(&self) -> impl ExactSizeIterator<Item = [Point; 3]> + '_ {
        self.faces.iter().map(|&face| self.triangle(face))
    }

    /// As [`Mesh::triangles`], on all cores.
    pub fn par_triangles(&self) -> impl IndexedParallelIterator<Item = [Point; 3]> + '_ {
        self.faces.par_iter().map(|&face| self.triangle(face))
    }

    /// The same faces over vertices that `place` has moved.
    ///
    /// # Errors
    /// [`ShapeError::Coordinate`] if one was moved to no place.
    pub fn moved(&self, place: impl Fn(Point) -> Point + Sync) -> Result<Self> {
        Self::new(self.vertices.par_iter().map(|&vertex| place(vertex)).collect(), self.faces.clone())
    }

    /// Both meshes as one; nothing is welded or cut.
    ///
    /// # Errors
    /// [`ShapeError::TooMany`].
    pub fn joined(&self, other: &Self) -> Result<Self> {
        at_most("vertices", self.vertices.len().saturating_add(other.vertices.len()))?;
        at_most("faces", self.faces.len().saturating_add(other.faces.len()))?;
        // At most `MAX_ELEMENTS`, as was checked.
        let first = self.vertices.len() as u32;
        let vertices = self.vertices.iter().chain(&other.vertices).copied().collect();
        let shifted = other.faces.iter().map(|face| face.map(|index| index + first));
        Ok(Self { vertices, faces: self.faces.iter().copied().chain(shifted).collect() })
    }

    /// The mesh with vertices at the same place made one, and faces that thereby lose their area left out.
    pub fn welded(&self) -> Self {
        let mut order: Vec<u32> = (0..self.vertices.len() as u32).collect();
        let key = |&index: &u32| {
            let place = self.vertices[index as usize];
            // Zero has two signs but is one place.
            [place.x + 0.0, place.y + 0.0, place.z + 0.0].map(f64::to_bits)
        };
        order.par_sort_unstable_by_key(|index| (key(index), *index));
        let mut now = vec![0_u32; self.vertices.len()];
        let (mut vertices, mut last) = (Vec::new(), None);
        for index in order {
            let place = key(&index);
            if last != Some(place) {
                vertices.push(self.vertices[index as usize]);
                last = Some(place);
            }
            now[index as usize] = vertices.len() as u32 - 1;
        }
        let faces = self.faces.iter().map(|face| face.map(|index| now[index as usize]));
        let faces = faces.filter(|[a, b, c]| a != b && b != c && c != a).collect();
        Self { vertices, faces }
    }
}

/// Whether a coordinate is a place.
pub(crate) fn is_place(value: f64) -> bool {
    value.abs() <= MAX_COORDINATE
}

fn at_most(what: &'static str, found: usize) -> Result<()> {
    match found > MAX_ELEMENTS {
        true => Err(ShapeError::TooMany { what, limit: MAX_ELEMENTS as u64, found: found as u64 }),
        false => Ok(()),
    }
}
