//! 3D shapes: meshes in and out of files, points to train on, surfaces of fields, distances between shapes, and pictures of them.
//!
//! | task | start at |
//! |---|---|
//! | a file to a [`Mesh`] and back | [`load_mesh`], [`save_mesh`], [`mesh_folder`]; classes by a table: [`MeshClasses`] |
//! | into the cube `[-1, 1]^3` | [`Mesh::normalised`], [`Normalisation`] |
//! | points on a surface | [`SurfaceSampler`] |
//! | is it inside? how far away? | [`TriangleTree`], [`winding_number`] |
//! | examples to train on | [`MeshShape::example`], [`ProceduralShapes`] with [`Solid::example`]; turned by a [`Symmetry`] |
//! | a field to a mesh | [`extract_surface`], [`Lattice`], [`Sparse`], [`field_normals`] |
//! | how alike are two shapes? | [`compare_samples`], [`overlap`], [`cross_scale_iou`] |
//! | is a mesh sound? | [`check_mesh`] |
//! | look at it | [`render`], [`render_around`] |
//!
//! ```
//! use tessera_datasets::shape::{ProceduralShapes, SurfaceSampler, check_mesh, compare_samples, load_mesh, save_mesh};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("shape.ply");
//! let (_, mesh) = ProceduralShapes::new(1).shape(0, 33)?;
//! assert!(check_mesh(&mesh).manifold);
//! save_mesh(&path, &mesh)?;
//! let back = load_mesh(&path)?;
//! let [a, b] = [&mesh, &back].map(|mesh| SurfaceSampler::new(mesh).map(|sampler| sampler.draw(1000, 0)));
//! let distances = compare_samples(&a?.as_slice().into(), &b?.as_slice().into())?;
//! assert!(distances.chamfer_l1() < 1e-6);
//! # Ok(())
//! # }
//! ```
//!
//! # Not supported
//! - Point clouds, textures, colours, normals of files (they are computed), skins, morphs, compressed glTF (Draco, meshopt), OFF.
//! - Repairing meshes: holes and overlaps stay, and labels come from the generalised winding number, which bears them.

mod chance;
mod classes;
mod error;
mod example;
mod file;
mod measure;
mod mesh;
mod metrics;
mod normalise;
mod render;
mod sampling;
mod solid;
mod surface;
mod symmetry;
mod tree;
mod winding;

pub use classes::MeshClasses;
pub use error::{FieldFailure, Result, ShapeError};
pub use example::{ExampleOptions, Labelled, MeshShape, ShapeExample};
pub use file::{
    MAX_FILE, MESH_ENDINGS, decode_mesh, is_mesh_name, load_mesh, mesh_folder, save_mesh, write_glb, write_obj,
    write_ply,
};
pub use mesh::{MAX_COORDINATE, MAX_ELEMENTS, Mesh, Point, Vector};
pub use metrics::{
    Distances, FScore, MeshCheck, Overlap, PointTree, SurfaceSamples, check_mesh, compare_samples, cross_scale_iou,
    overlap, spheres_iou,
};
pub use normalise::{HALF_EXTENT, Normalisation};
pub use render::{RenderOptions, View, render, render_around};
pub use sampling::{SurfacePoint, SurfaceSampler};
pub use solid::{Family, ProceduralShapes, Solid};
pub use surface::{
    Field, Fill, Lattice, LatticeEdge, Search, Sparse, Surface, SurfaceOptions, extract_surface, field_normals,
};
pub use symmetry::Symmetry;
pub use tree::{Nearest, TriangleTree};
pub use winding::winding_number;
