//! Where a mesh is seen from.

use crate::shape::mesh::{Mesh, Point, Vector};

/// A direction to look from, in degrees. The frame has y up; at azimuth 0 the eye is on the +z side, at 90 on the +x side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Round the y axis.
    pub azimuth: f64,
    /// Above the horizon.
    pub elevation: f64,
}

impl Default for View {
    /// From the front, 30 degrees to the right and 25 above.
    fn default() -> Self {
        Self { azimuth: 30.0, elevation: 25.0 }
    }
}

/// The eye stands this many radii from the centre: some perspective, and nothing is ever behind it.
const DISTANCE: f64 = 4.0;

/// A view of a certain mesh on a square of certain pixels.
pub(super) struct Camera {
    right: Vector,
    up: Vector,
    back: Vector,
    centre: Point,
    radius: f64,
    half: f64,
}

impl View {
    /// `None` for a mesh of no size.
    pub(super) fn camera(self, mesh: &Mesh, pixels: u32) -> Option<Camera> {
        let [low, high] = mesh.bounding_box()?;
        let centre = nalgebra::center(&low, &high);
        let far = |[a, b, c]: [Point; 3]| [a, b, c].map(|p| (p - centre).norm()).into_iter().fold(0.0, f64::max);
        let radius = mesh.triangles().map(far).fold(0.0, f64::max);
        let angle = |degrees: f64| if degrees.is_finite() { degrees.to_radians() } else { 0.0 };
        let ((sa, ca), (se, ce)) = (angle(self.azimuth).sin_cos(), angle(self.elevation).sin_cos());
        let back = Vector::new(sa * ce, se, ca * ce);
        let right = Vector::new(ca, 0.0, -sa);
        let up = back.cross(&right);
        (radius > 0.0).then(|| Camera { right, up, back, centre, radius, half: f64::from(pixels) / 2.0 })
    }
}

impl Camera {
    /// Column, row and the inverse of the distance, which is linear on the screen.
    pub(super) fn project(&self, place: Point) -> [f64; 3] {
        let from = (place - self.centre) / self.radius;
        // Unused vertices may lie anywhere; those of faces are within one radius.
        let nearness = 1.0 / (DISTANCE - from.dot(&self.back)).max(DISTANCE - 1.5);
        // The ball around the mesh just fits.
        let scale = self.half * nearness * (DISTANCE * DISTANCE - 1.0).sqrt() * 0.97;
        [self.half + from.dot(&self.right) * scale, self.half - from.dot(&self.up) * scale, nearness]
    }

    /// A direction in the camera's frame.
    pub(super) fn turn(&self, direction: Vector) -> Vector {
        Vector::new(direction.dot(&self.right), direction.dot(&self.up), direction.dot(&self.back))
    }
}
