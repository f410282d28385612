//! The surface of a field: where a function of space changes its sign, as a mesh.
//!
//! A place is inside where the value is at least zero. There is one vertex on each edge of the lattice whose ends differ, shared by
//! the four cells around it. In each cell the vertices are joined by walking round its faces (see `cell.rs`); neighbours
//! agree on their common face, so that the surface is closed and oriented by construction.
//!
//! Memory: two layers of the lattice and the mesh itself, however fine the lattice ([`Search::Dense`]); or the samples near
//! the surface and the mesh ([`Search::Sparse`]).

mod assemble;
mod bits;
mod cell;
mod dense;
mod lattice;
mod level;
mod normals;
mod sampler;
mod samples;
mod sparse;

pub use self::lattice::{Lattice, LatticeEdge};
pub use self::normals::field_normals;
pub use self::sparse::Sparse;

use self::assemble::Assembler;
use self::sampler::Sampler;
use super::error::{FieldFailure, Result, ShapeError};
use super::mesh::{Mesh, Point};

/// A field: values `[points]` of places `[points]`, positive inside. Called with at most [`SurfaceOptions::batch`] places.
pub type Field<'a> = dyn FnMut(&[Point]) -> std::result::Result<Vec<f32>, FieldFailure> + 'a;

/// How the loop of vertices in a cell becomes triangles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fill {
    /// Loops of more than three from their mean point: always a closed 2-manifold.
    #[default]
    Centre,
    /// From the loop's first vertex: about half as many faces, but on rough fields four of them may share an edge.
    Fan,
}

/// Which samples of the lattice are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Search {
    /// All of them: finds everything that the lattice shows.
    #[default]
    Dense,
    /// A coarse lattice first, then only near the surface.
    Sparse(Sparse),
}

/// Settings of an extraction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SurfaceOptions {
    /// Where the field is sampled.
    pub lattice: Lattice,
    /// Which samples are taken.
    pub search: Search,
    /// How cells are filled.
    pub fill: Fill,
    /// Closes the surface where the inside reaches the border of the lattice: samples on the border count as outside, with the value's
    /// negative. Without it the surface is open there.
    pub seal: bool,
    /// The most places that the field is asked for at once.
    pub batch: usize,
}

impl SurfaceOptions {
    /// Every sample of `lattice`, sealed at its border, 65,536 at once.
    pub fn new(lattice: Lattice) -> Self {
        Self { lattice, search: Search::Dense, fill: Fill::Centre, seal: true, batch: 1 << 16 }
    }

    /// Only near the surface.
    pub fn sparse(mut self, sparse: Sparse) -> Self {
        self.search = Search::Sparse(sparse);
        self
    }
}

/// An extracted surface.
#[derive(Clone, Debug)]
pub struct Surface {
    /// The triangles, outward. The first vertices are the crossings, those after them the means of loops.
    pub mesh: Mesh,
    /// The edge of the lattice that each of the first vertices lies on.
    pub crossings: Vec<LatticeEdge>,
    /// Samples that the field was asked for.
    pub evaluations: u64,
}

/// Extracts the surface of a field. A field without a surface gives an empty mesh.
///
/// ```
/// use tessera_datasets::shape::{Lattice, SurfaceOptions, check_mesh, extract_surface};
/// let mut ball = |places: &[tessera_datasets::shape::Point]| {
///     Ok(places.iter().map(|place| (0.6 - place.coords.norm()) as f32).collect())
/// };
/// let surface = extract_surface(&SurfaceOptions::new(Lattice::cube(33)?), &mut ball)?;
/// let check = check_mesh(&surface.mesh);
/// assert!(check.closed && check.oriented && check.euler == 2);
/// # Ok::<(), tessera_datasets::shape::ShapeError>(())
/// ```
///
/// # Errors
/// [`ShapeError::Field`] if the field fails, [`ShapeError::Length`] if it gives another number of values, [`ShapeError::FieldValue`] if
/// one is no number, [`ShapeError::Setting`] for a batch of none, [`ShapeError::TooMany`] for a surface of over 2^28 elements.
pub fn extract_surface(options: &SurfaceOptions, field: &mut Field<'_>) -> Result<Surface> {
    if options.batch == 0 {
        let found = "0".to_owned();
        return Err(ShapeError::Setting { what: "the batch of an extraction", expected: "at least 1", found });
    }
    let mut sampler = Sampler::new(options, field);
    let mut assembler = Assembler::new(options.lattice, options.fill);
    match &options.search {
        Search::Dense => dense::run(&mut sampler, &mut assembler)?,
        Search::Sparse(sparse) => sparse::run(sparse, &mut sampler, &mut assembler)?,
    }
    let (mesh, crossings) = assembler.finish();
    Ok(Surface { mesh, crossings, evaluations: sampler.evaluations() })
}
