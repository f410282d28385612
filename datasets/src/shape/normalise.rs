//! Bringing a shape of any place and size into the cube that models look at.

use super::error::{Result, ShapeError};
use super::mesh::{Mesh, Point, Vector};

/// The longest half of the box around a normalised shape.
pub const HALF_EXTENT: f64 = 0.95;

/// A shift and a scale: `normalised = (place - centre) * scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalisation {
    /// Centre of the box around the shape.
    pub centre: Point,
    /// Factor for all three axes.
    pub scale: f64,
}

impl Normalisation {
    /// The one that moves the centre of the box around `mesh` to 0 and scales its longest half to `half_extent`
    /// ([`HALF_EXTENT`] by default).
    ///
    /// # Errors
    /// [`ShapeError::NoExtent`] for a mesh without faces or of a single point.
    pub fn of(mesh: &Mesh, half_extent: f64) -> Result<Self> {
        let [low, high] = mesh.bounding_box().ok_or(ShapeError::NoExtent { what: "faces" })?;
        let (centre, half) = (nalgebra::center(&low, &high), (high - low).max() / 2.0);
        let scale = half_extent / half;
        match scale.is_finite() && scale > 0.0 {
            true => Ok(Self { centre, scale }),
            false => Err(ShapeError::NoExtent { what: "length in any direction" }),
        }
    }

    /// A place of the shape in the cube.
    pub fn apply(&self, place: Point) -> Point {
        Point::from((place - self.centre) * self.scale)
    }

    /// A place in the cube where the shape was.
    pub fn undo(&self, place: Point) -> Point {
        self.centre + Vector::from(place.coords) / self.scale
    }
}

impl Mesh {
    /// The mesh in the cube: see [`Normalisation::of`] with [`HALF_EXTENT`].
    ///
    /// # Errors
    /// [`ShapeError::NoExtent`].
    pub fn normalised(&self) -> Result<Self> {
        let normalisation = Normalisation::of(self, HALF_EXTENT)?;
        self.moved(|place| normalisation.apply(place))
    }
}
