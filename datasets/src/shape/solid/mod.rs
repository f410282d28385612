//! Solids given by formulas: exact labels, no files.

mod primitives;
mod procedural;
mod surface_points;
mod value;

pub use self::procedural::{Family, ProceduralShapes};

use nalgebra::Isometry3;
use rayon::prelude::*;

use super::error::Result;
use super::mesh::{Mesh, Point};
use super::surface::{Lattice, Sparse, SurfaceOptions, extract_surface};

/// A solid. Lengths are in units of the frame; upright parts stand along y.
///
/// ```
/// use tessera_datasets::shape::{Point, Solid};
/// let ball = Solid::Sphere { radius: 0.5 };
/// let block = Solid::Cuboid { half: [0.4, 0.4, 0.4], rounding: 0.0 };
/// let corners = Solid::Difference(Box::new(block), Box::new(ball));
/// assert!(corners.contains(Point::new(0.39, 0.39, 0.39)) && !corners.contains(Point::origin()));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Solid {
    /// A ball.
    Sphere {
        /// Its radius.
        radius: f64,
    },
    /// A ball of three radii.
    Ellipsoid {
        /// Along x, y and z.
        radii: [f64; 3],
    },
    /// A box.
    Cuboid {
        /// Half its sides.
        half: [f64; 3],
        /// Radius of its edges, within the sides.
        rounding: f64,
    },
    /// A ring round the y axis.
    Torus {
        /// From the centre to the middle of the tube.
        major: f64,
        /// Radius of the tube.
        minor: f64,
    },
    /// A rod with round ends.
    Capsule {
        /// From the centre to the centre of an end.
        half: f64,
        /// Its radius.
        radius: f64,
    },
    /// A rod with flat ends.
    Cylinder {
        /// Half its height.
        half: f64,
        /// Its radius.
        radius: f64,
    },
    /// A solid elsewhere.
    Placed(Box<Solid>, Isometry3<f64>),
    /// A solid of another size: all lengths times the factor, which is positive.
    Scaled(Box<Solid>, f64),
    /// A solid whose layers are turned about the y axis, by so many radians for a unit of height.
    Twisted(Box<Solid>, f64),
    /// All of several solids.
    Union(Vec<Solid>),
    /// What several solids have in common; everything, if there are none.
    Intersection(Vec<Solid>),
    /// The first without the second.
    Difference(Box<Solid>, Box<Solid>),
}

impl Solid {
    /// Whether a place is inside; the surface belongs to it.
    pub fn contains(&self, place: Point) -> bool {
        self.value(place) >= 0.0
    }

    /// As [`Solid::contains`], for many places on all cores.
    pub fn contains_each(&self, places: &[Point]) -> Vec<bool> {
        places.par_iter().map(|&place| self.contains(place)).collect()
    }

    /// Its surface within `[-1, 1]^3`, on a lattice of `side` samples, with every part that is visible there.
    ///
    /// # Errors
    /// [`ShapeError::Setting`](super::ShapeError::Setting) for a side out of 2 to 1025.
    pub fn mesh(&self, side: usize) -> Result<Mesh> {
        let sparse = Sparse { step: 4, margin: 0, steepness: Some(self.steepness()) };
        let options = SurfaceOptions::new(Lattice::cube(side)?).sparse(sparse);
        let mut field =
            |places: &[Point]| Ok(places.par_iter().map(|&place| self.value(place) as f32).collect::<Vec<f32>>());
        Ok(extract_surface(&options, &mut field)?.mesh)
    }
}
