//! [`Lattice`]: the places at which a field is sampled.

use crate::shape::error::{Result, ShapeError};
use crate::shape::mesh::Point;

/// The most samples along a side.
const MAX_SIDE: usize = 1025;

/// `side` samples along each axis of the cube `[-bounds, bounds]^3`, both ends included, as `linspace(-bounds, bounds, side)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lattice {
    side: u16,
    bounds: f64,
}

/// An edge of a lattice, between the samples `lower` and `lower` + 1 along `axis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LatticeEdge {
    /// 0, 1 or 2.
    pub axis: u8,
    /// Indices x, y, z of the lower end.
    pub lower: [u16; 3],
}

impl Lattice {
    /// A lattice of `side` samples (2 to 1025) over `[-1, 1]^3`.
    ///
    /// # Errors
    /// [`ShapeError::Setting`] for another side.
    pub fn cube(side: usize) -> Result<Self> {
        Self::new(side, 1.0)
    }

    /// A lattice of `side` samples (2 to 1025) over `[-bounds, bounds]^3`.
    ///
    /// # Errors
    /// [`ShapeError::Setting`] for another side, or bounds that are no positive number.
    pub fn new(side: usize, bounds: f64) -> Result<Self> {
        let setting = |what, expected, found: String| Err(ShapeError::Setting { what, expected, found });
        if !(2..=MAX_SIDE).contains(&side) {
            return setting("samples along a side", "2 to 1025", side.to_string());
        }
        if !(bounds > 0.0 && bounds <= crate::shape::MAX_COORDINATE) {
            return setting("bounds", "a positive number", bounds.to_string());
        }
        // In range, as was checked.
        Ok(Self { side: side as u16, bounds })
    }

    /// Samples along a side.
    pub fn side(&self) -> usize {
        self.side.into()
    }

    /// Half the side of the cube.
    pub fn bounds(&self) -> f64 {
        self.bounds
    }

    /// Distance between two samples.
    pub fn spacing(&self) -> f64 {
        2.0 * self.bounds / f64::from(self.side - 1)
    }

    /// The place of a sample.
    pub fn place(&self, sample: [u16; 3]) -> Point {
        Point::from(sample.map(|index| self.coordinate(index.into())))
    }

    /// The coordinate of an index, which may lie between two samples.
    pub fn coordinate(&self, index: f64) -> f64 {
        -self.bounds + 2.0 * self.bounds * index / f64::from(self.side - 1)
    }

    /// Whether a sample lies on the border of the cube.
    pub(super) fn is_border(&self, sample: [u16; 3]) -> bool {
        sample.iter().any(|&index| index == 0 || index == self.side - 1)
    }
}
