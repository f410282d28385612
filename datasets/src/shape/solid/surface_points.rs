//! Samples on a solid's own surface, with its own normals.

use rayon::prelude::*;

use super::Solid;
use crate::shape::error::Result;
use crate::shape::measure::unit_or_zero;
use crate::shape::mesh::{Mesh, Point};
use crate::shape::sampling::{SurfacePoint, SurfaceSampler};

/// How far from the surface a moved sample may end, and how far from where it was.
const CLOSE: f64 = 1e-6;
const FAR: f64 = 0.1;

impl Solid {
    /// `count` points drawn by area on `mesh`, an extraction of this solid, each moved to the solid's surface. Where that has a
    /// sharp edge, a point may stay on the mesh.
    ///
    /// # Errors
    /// [`ShapeError::NoExtent`](crate::shape::ShapeError::NoExtent) for a mesh without area.
    pub fn surface_points(&self, mesh: &Mesh, count: usize, seed: u64) -> Result<Vec<SurfacePoint>> {
        let mut points = SurfaceSampler::new(mesh)?.draw(count, seed);
        points.par_iter_mut().for_each(|point| {
            if let Some(place) = self.nearby(point.place) {
                let normal = unit_or_zero(-self.slope(place));
                let normal = if normal.norm_squared() > 0.0 { normal } else { point.normal };
                *point = SurfacePoint { place, normal, face: point.face };
            }
        });
        Ok(points)
    }

    /// A place of the surface near another; `None` if it is not found within a few steps.
    fn nearby(&self, start: Point) -> Option<Point> {
        let mut place = start;
        for _ in 0..6 {
            let value = self.value(place);
            if value.abs() < CLOSE {
                return Some(place).filter(|place| (place - start).norm() < FAR);
            }
            let slope = self.slope(place);
            let squared = slope.norm_squared();
            if squared < 1e-6 {
                return None;
            }
            place -= slope * (value / squared);
        }
        None
    }
}
