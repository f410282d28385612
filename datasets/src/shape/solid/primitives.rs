//! Distances of the simple solids, positive inside.

use crate::shape::mesh::{Point, Vector};

pub(super) fn sphere(place: Point, radius: f64) -> f64 {
    radius - place.coords.norm()
}

/// Not the distance, but never more: (1 - |place / radii|) times the least radius.
pub(super) fn ellipsoid(place: Point, radii: [f64; 3]) -> f64 {
    let scaled = place.coords.component_div(&Vector::from(radii));
    (1.0 - scaled.norm()) * radii.iter().copied().fold(f64::INFINITY, f64::min)
}

pub(super) fn cuboid(place: Point, half: [f64; 3], rounding: f64) -> f64 {
    let beyond = place.coords.abs() - Vector::from(half).add_scalar(-rounding);
    let outside = beyond.sup(&Vector::zeros()).norm();
    rounding - outside - beyond.max().min(0.0)
}

pub(super) fn torus(place: Point, major: f64, minor: f64) -> f64 {
    minor - (place.x.hypot(place.z) - major).hypot(place.y)
}

pub(super) fn capsule(place: Point, half: f64, radius: f64) -> f64 {
    let above = place.y - place.y.clamp(-half.abs(), half.abs());
    radius - Vector::new(place.x, above, place.z).norm()
}

pub(super) fn cylinder(place: Point, half: f64, radius: f64) -> f64 {
    let (aside, above) = (place.x.hypot(place.z) - radius, place.y.abs() - half);
    -aside.max(above).min(0.0) - aside.max(0.0).hypot(above.max(0.0))
}
