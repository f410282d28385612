//! Numbers and directions of a mesh as a whole.

use rayon::prelude::*;

use super::mesh::{Mesh, Point, Vector};

/// Faces that one task of a sum takes: sums are then the same on any number of cores.
const CHUNK: usize = 4096;

impl Mesh {
    /// Sum of the faces' areas.
    pub fn area(&self) -> f64 {
        self.sum(|[a, b, c]| (b - a).cross(&(c - a)).norm() / 2.0)
    }

    /// Signed volume: a sixth of the sum of v0 . (v1 x v2). Positive if a closed mesh's faces look outward.
    pub fn volume(&self) -> f64 {
        self.sum(|[a, b, c]| a.coords.dot(&b.coords.cross(&c.coords))) / 6.0
    }

    /// Centre of mass of the solid inside; `None` without volume.
    pub fn centroid(&self) -> Option<Point> {
        let moment = [0, 1, 2]
            .map(|axis| self.sum(|[a, b, c]| a.coords.dot(&b.coords.cross(&c.coords)) * (a[axis] + b[axis] + c[axis])));
        let centre = Point::from(Vector::from(moment) / (24.0 * self.volume()));
        centre.iter().all(|value| value.is_finite()).then_some(centre)
    }

    /// Lowest and highest corner of the box around all vertices that faces use; `None` without faces.
    pub fn bounding_box(&self) -> Option<[Point; 2]> {
        let corners = self.par_triangles().map(|[a, b, c]| [a.inf(&b).inf(&c), a.sup(&b).sup(&c)]);
        corners.reduce_with(|a, b| [a[0].inf(&b[0]), a[1].sup(&b[1])])
    }

    /// Unit normal of every face `[faces]`; zero where a face has no area.
    pub fn face_normals(&self) -> Vec<Vector> {
        self.par_triangles().map(|corners| unit_or_zero(across(corners))).collect()
    }

    /// Unit normal of every vertex `[vertices]`: the mean of its faces', weighted by area; zero where there is none.
    pub fn vertex_normals(&self) -> Vec<Vector> {
        let mut normals = vec![Vector::zeros(); self.vertices().len()];
        for (face, corners) in self.faces().iter().zip(self.triangles()) {
            let normal = across(corners);
            face.iter().for_each(|&index| normals[index as usize] += normal);
        }
        normals.par_iter_mut().for_each(|normal| *normal = unit_or_zero(*normal));
        normals
    }

    fn sum(&self, of: impl Fn([Point; 3]) -> f64 + Sync) -> f64 {
        let chunks = self.faces().par_chunks(CHUNK);
        let parts: Vec<f64> = chunks.map(|faces| faces.iter().map(|&face| of(self.triangle(face))).sum()).collect();
        parts.iter().sum()
    }
}

/// The normal of a face, as long as twice its area.
pub(crate) fn across([a, b, c]: [Point; 3]) -> Vector {
    (b - a).cross(&(c - a))
}

/// A vector at length one; zero stays zero.
pub(crate) fn unit_or_zero(vector: Vector) -> Vector {
    vector.try_normalize(0.0).filter(|unit| unit.iter().all(|value| value.is_finite())).unwrap_or_else(Vector::zeros)
}
