//! How alike two shapes are, and whether a mesh is sound.

mod compare;
mod kd_tree;
mod overlap;
mod topology;

pub use self::compare::{Distances, FScore, SurfaceSamples, compare_samples};
pub use self::kd_tree::PointTree;
pub use self::overlap::{Overlap, cross_scale_iou, overlap, spheres_iou};
pub use self::topology::{MeshCheck, check_mesh};
