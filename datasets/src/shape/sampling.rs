//! Points on a surface, every piece of area as likely as any other.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::error::{Result, ShapeError};
use super::measure::{across, unit_or_zero};
use super::mesh::{Mesh, Point, Vector};

/// Samples that share a stream of chance.
const CHUNK: usize = 1024;

/// A point on a surface.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SurfacePoint {
    /// Where it lies.
    pub place: Point,
    /// Unit normal of its face, outward.
    pub normal: Vector,
    /// Its face.
    pub face: usize,
}

/// Draws points on a mesh by area.
///
/// ```
/// use tessera_datasets::shape::{SurfaceSampler, Solid};
/// let ball = Solid::Sphere { radius: 0.5 }.mesh(33)?;
/// let points = SurfaceSampler::new(&ball)?.draw(1000, 7);
/// assert!(points.iter().all(|point| (point.place.coords.norm() - 0.5).abs() < 0.01));
/// # Ok::<(), tessera_datasets::shape::ShapeError>(())
/// ```
pub struct SurfaceSampler<'a> {
    mesh: &'a Mesh,
    /// Area of the faces up to and with each, as a share of all.
    cumulative: Vec<f64>,
}

impl<'a> SurfaceSampler<'a> {
    /// Prepares a mesh.
    ///
    /// # Errors
    /// [`ShapeError::NoExtent`] if no face has an area.
    pub fn new(mesh: &'a Mesh) -> Result<Self> {
        // Areas of huge or tiny meshes stay numbers once the longest side is one.
        let [low, high] = mesh.bounding_box().ok_or(ShapeError::NoExtent { what: "faces" })?;
        let side = (high - low).max();
        let areas = mesh.triangles().map(|[a, b, c]| {
            let sides = [(b - a) / side, (c - a) / side];
            sides[0].cross(&sides[1]).norm() / 2.0
        });
        let sums = areas.scan(0.0, |sum, area| {
            *sum += area;
            Some(*sum)
        });
        let mut cumulative: Vec<f64> = sums.collect();
        let total = cumulative.last().copied().unwrap_or(0.0);
        if !(total.is_finite() && total > 0.0) {
            return Err(ShapeError::NoExtent { what: "area" });
        }
        cumulative.iter_mut().for_each(|sum| *sum /= total);
        Ok(Self { mesh, cumulative })
    }

    /// The point of three numbers in `[0, 1)`: `u` chooses the first face whose cumulative share of the area exceeds it,
    /// `a` and `b` the place on it.
    pub fn at(&self, u: f64, [a, b]: [f64; 2]) -> SurfacePoint {
        let after = self.cumulative.partition_point(|&share| share <= u);
        // Rounding may leave the last share under one; then the last face that has an area is meant.
        let last = || self.cumulative.partition_point(|&share| share < self.cumulative[self.cumulative.len() - 1]);
        let face = if after < self.cumulative.len() { after } else { last() };
        let corners = self.mesh.triangle(self.mesh.faces()[face]);
        let [first, second, third] = corners;
        let (a, b) = if a + b > 1.0 { (1.0 - a, 1.0 - b) } else { (a, b) };
        let place = first + (second - first) * a + (third - first) * b;
        SurfacePoint { place, normal: unit_or_zero(across(corners)), face }
    }

    /// `count` points, the same for the same seed on any number of cores; more of them begin with the same ones.
    pub fn draw(&self, count: usize, seed: u64) -> Vec<SurfacePoint> {
        let mut points = Vec::with_capacity(count);
        let starts = (0..count).into_par_iter().step_by(CHUNK);
        points.par_extend(starts.flat_map_iter(|start| {
            let mut chance = ChaCha8Rng::seed_from_u64(seed);
            chance.set_stream(start as u64);
            (start..count.min(start + CHUNK)).map(move |_| self.at(chance.random(), [chance.random(), chance.random()]))
        }));
        points
    }
}
