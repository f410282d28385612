//! Training examples: points on a surface to read, and labelled places to ask about.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::chance::gaussian;
use super::error::Result;
use super::mesh::{Mesh, Point, Vector};
use super::sampling::{SurfacePoint, SurfaceSampler};
use super::solid::Solid;
use super::tree::TriangleTree;

/// How many points and places an example has.
#[derive(Clone, Debug, PartialEq)]
pub struct ExampleOptions {
    /// Points of the surface.
    pub points: usize,
    /// Places uniform in `[-1, 1]^3`.
    pub volume: usize,
    /// Places near the surface: points of it, moved by normally distributed numbers along each axis.
    pub near: usize,
    /// Deviations of those numbers, taken in turn.
    pub deviations: Vec<f64>,
}

impl Default for ExampleOptions {
    /// 16384 points, 2048 places of either sort, deviations 0.02 and 0.05.
    fn default() -> Self {
        Self { points: 16384, volume: 2048, near: 2048, deviations: vec![0.02, 0.05] }
    }
}

/// Places in single precision, and whether each (as it was rounded) is inside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labelled {
    /// x, y, z.
    pub places: Vec<[f32; 3]>,
    /// As many labels.
    pub inside: Vec<bool>,
}

/// What a network learns from: see [`ExampleOptions`] for the counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShapeExample {
    /// Points of the surface: x, y, z and the outward unit normal.
    pub points: Vec<[f32; 6]>,
    /// Places in the cube.
    pub volume: Labelled,
    /// Places near the surface.
    pub near: Labelled,
}

/// A mesh that examples are drawn from, of any number, each a function of its seed. Labels are right for open meshes too: inside is
/// where the generalised winding number is over a half.
pub struct MeshShape {
    mesh: Mesh,
    tree: TriangleTree,
}

impl MeshShape {
    /// Normalises a mesh and sorts its faces.
    ///
    /// # Errors
    /// [`ShapeError::NoExtent`](super::ShapeError::NoExtent) if it has no faces or no size.
    pub fn new(mesh: &Mesh) -> Result<Self> {
        let mesh = mesh.normalised()?;
        let tree = TriangleTree::new(&mesh);
        Ok(Self { mesh, tree })
    }

    /// The normalised mesh.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// Its faces, sorted.
    pub fn tree(&self) -> &TriangleTree {
        &self.tree
    }

    /// Example number `seed`.
    ///
    /// # Errors
    /// [`ShapeError::NoExtent`](super::ShapeError::NoExtent) if the mesh has no area.
    pub fn example(&self, options: &ExampleOptions, seed: u64) -> Result<ShapeExample> {
        let sampler = SurfaceSampler::new(&self.mesh)?;
        draw(options, seed, |count, seed| Ok(sampler.draw(count, seed)), |places| self.tree.contains_each(places))
    }
}

impl Solid {
    /// Example number `seed` of this solid, of which `mesh` is an extraction: exact labels, points on the solid's own surface.
    ///
    /// # Errors
    /// [`ShapeError::NoExtent`](super::ShapeError::NoExtent) if the mesh has no area.
    pub fn example(&self, mesh: &Mesh, options: &ExampleOptions, seed: u64) -> Result<ShapeExample> {
        draw(options, seed, |count, seed| self.surface_points(mesh, count, seed), |places| self.contains_each(places))
    }
}

fn draw(
    options: &ExampleOptions,
    seed: u64,
    surface: impl Fn(usize, u64) -> Result<Vec<SurfacePoint>>,
    contains: impl Fn(&[Point]) -> Vec<bool>,
) -> Result<ShapeExample> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let seeds: [u64; 2] = [chance.random(), chance.random()];
    let row = |point: SurfacePoint| -> [f32; 6] {
        let (place, normal) = (point.place, point.normal);
        [place.x, place.y, place.z, normal.x, normal.y, normal.z].map(|value| value as f32)
    };
    let points = surface(options.points, seeds[0])?.into_iter().map(row).collect();
    let volume = (0..options.volume).map(|_| [(); 3].map(|()| chance.random_range(-1.0..1.0_f32))).collect();
    let deviations = options.deviations.iter().copied().cycle().chain(std::iter::repeat(0.0));
    let near = surface(options.near, seeds[1])?.into_iter().zip(deviations).map(|(point, deviation)| {
        let moved = point.place + Vector::from_fn(|_, _| gaussian(&mut chance)) * deviation;
        [moved.x as f32, moved.y as f32, moved.z as f32]
    });
    let near = near.collect();
    let labelled = |places: Vec<[f32; 3]>| {
        let wide: Vec<Point> = places.iter().map(|place| Point::from(place.map(f64::from))).collect();
        Labelled { inside: contains(&wide), places }
    };
    Ok(ShapeExample { points, volume: labelled(volume), near: labelled(near) })
}
