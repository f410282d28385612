//! What solids are at a place, and how fast that can change.

use nalgebra::Vector3;

use super::{Solid, primitives};
use crate::shape::mesh::Point;

impl Solid {
    /// Positive inside, 0 on the surface, negative outside; a lower bound of the distance to the surface after division by
    /// [`Solid::steepness`].
    pub fn value(&self, place: Point) -> f64 {
        match self {
            Self::Sphere { radius } => primitives::sphere(place, *radius),
            Self::Ellipsoid { radii } => primitives::ellipsoid(place, *radii),
            Self::Cuboid { half, rounding } => primitives::cuboid(place, *half, *rounding),
            Self::Torus { major, minor } => primitives::torus(place, *major, *minor),
            Self::Capsule { half, radius } => primitives::capsule(place, *half, *radius),
            Self::Cylinder { half, radius } => primitives::cylinder(place, *half, *radius),
            Self::Placed(solid, at) => solid.value(at.inverse_transform_point(&place)),
            Self::Scaled(solid, factor) => solid.value(place / *factor) * factor,
            Self::Twisted(solid, rate) => {
                let (sine, cosine) = (rate * place.y).sin_cos();
                solid.value(Point::new(cosine * place.x - sine * place.z, place.y, sine * place.x + cosine * place.z))
            }
            Self::Union(solids) => solids.iter().map(|solid| solid.value(place)).fold(f64::from(f32::MIN), f64::max),
            Self::Intersection(solids) => {
                solids.iter().map(|solid| solid.value(place)).fold(f64::from(f32::MAX), f64::min)
            }
            Self::Difference(solid, hole) => solid.value(place).min(-hole.value(place)),
        }
    }

    /// A number that no difference quotient of [`Solid::value`] exceeds within `[-1, 1]^3`.
    pub fn steepness(&self) -> f64 {
        self.steepness_within(3_f64.sqrt())
    }

    /// The same for places up to `reach` from the origin.
    fn steepness_within(&self, reach: f64) -> f64 {
        match self {
            Self::Placed(solid, at) => solid.steepness_within(reach + at.translation.vector.norm()),
            Self::Scaled(solid, factor) => solid.steepness_within(reach / factor),
            Self::Twisted(solid, rate) => {
                // The largest stretch of a shear by rate x distance from the axis.
                let shear = rate.abs() * reach;
                solid.steepness_within(reach) * (shear + shear.hypot(2.0)) / 2.0
            }
            Self::Union(solids) | Self::Intersection(solids) => {
                solids.iter().map(|solid| solid.steepness_within(reach)).fold(0.0, f64::max)
            }
            Self::Difference(solid, hole) => solid.steepness_within(reach).max(hole.steepness_within(reach)),
            _ => 1.0,
        }
    }

    /// Which way the value grows fastest, and how fast.
    pub(super) fn slope(&self, place: Point) -> Vector3<f64> {
        const STEP: f64 = 1e-5;
        Vector3::from_fn(|axis, _| {
            let (mut above, mut below) = (place, place);
            above[axis] += STEP;
            below[axis] -= STEP;
            (self.value(above) - self.value(below)) / (2.0 * STEP)
        })
    }
}
