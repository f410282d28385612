//! Whether a mesh is closed, oriented and in how many parts.

use rayon::prelude::*;
use serde::Serialize;

use crate::shape::mesh::Mesh;

/// What the faces of a mesh form. Coordinates play no part: vertices at the same place are different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MeshCheck {
    /// Vertices that faces use.
    pub vertices: usize,
    /// Edges, whichever way round.
    pub edges: usize,
    /// Faces.
    pub faces: usize,
    /// Edges of one face.
    pub boundary_edges: usize,
    /// Edges of more than two faces.
    pub nonmanifold_edges: usize,
    /// Every edge has exactly two faces.
    pub closed: bool,
    /// No edge is passed twice in the same direction.
    pub oriented: bool,
    /// The faces round every vertex form one ring; closed and oriented besides: a closed, oriented 2-manifold.
    pub manifold: bool,
    /// Vertices - edges + faces.
    pub euler: i64,
    /// Parts that share no vertex.
    pub components: usize,
}

/// Checks a mesh.
pub fn check_mesh(mesh: &Mesh) -> MeshCheck {
    let faces = mesh.faces();
    let directed = |[a, b, c]: [u32; 3]| [(a, b), (b, c), (c, a)];
    let mut edges: Vec<(u32, u32, bool)> = faces
        .par_iter()
        .flat_map_iter(|&face| directed(face))
        .map(|(a, b)| if a <= b { (a, b, true) } else { (b, a, false) })
        .collect();
    edges.par_sort_unstable();
    let (mut count, mut boundary, mut nonmanifold, mut oriented) = (0, 0, 0, true);
    for same in edges.chunk_by(|first, second| (first.0, first.1) == (second.0, second.1)) {
        count += 1;
        boundary += usize::from(same.len() == 1);
        nonmanifold += usize::from(same.len() > 2);
        let forward = same.iter().filter(|(.., forward)| *forward).count();
        oriented &= forward <= 1 && same.len() - forward <= 1;
    }
    let parts = Parts::of(mesh);
    let closed = boundary == 0 && nonmanifold == 0;
    MeshCheck {
        vertices: parts.used,
        edges: count,
        faces: faces.len(),
        boundary_edges: boundary,
        nonmanifold_edges: nonmanifold,
        closed,
        oriented,
        manifold: closed && oriented && has_single_rings(mesh),
        euler: parts.used as i64 - count as i64 + faces.len() as i64,
        components: parts.components,
    }
}

/// Whether the faces round each vertex of a closed, oriented mesh are one ring, not several that touch there.
fn has_single_rings(mesh: &Mesh) -> bool {
    // Around its vertex each corner leads from one neighbour to another.
    let mut corners: Vec<(u32, u32, u32)> =
        mesh.faces().iter().flat_map(|&[a, b, c]| [(a, b, c), (b, c, a), (c, a, b)]).collect();
    corners.par_sort_unstable();
    let rings: Vec<&[(u32, u32, u32)]> = corners.chunk_by(|first, second| first.0 == second.0).collect();
    rings.par_iter().all(|ring| {
        let mut at = 0;
        for step in 1..=ring.len() {
            // Sorted by the neighbour that a corner begins at.
            match ring.binary_search_by_key(&ring[at].2, |corner| corner.1) {
                Ok(0) => return step == ring.len(),
                Ok(next) => at = next,
                Err(_) => return false,
            }
        }
        false
    })
}

/// Vertices joined by faces.
struct Parts {
    used: usize,
    components: usize,
}

impl Parts {
    fn of(mesh: &Mesh) -> Self {
        const UNUSED: u32 = u32::MAX;
        let mut above = vec![UNUSED; mesh.vertices().len()];
        let (mut used, mut components) = (0, 0);
        for face in mesh.faces() {
            for &vertex in face {
                if above[vertex as usize] == UNUSED {
                    above[vertex as usize] = vertex;
                    (used, components) = (used + 1, components + 1);
                }
            }
            let [a, b, c] = *face;
            for (one, other) in [(a, b), (b, c)] {
                let (one, other) = (root(&mut above, one), root(&mut above, other));
                if one != other {
                    above[one.max(other) as usize] = one.min(other);
                    components -= 1;
                }
            }
        }
        Self { used, components }
    }
}

/// The vertex that stands for a part; halves the way to it for the next time.
fn root(above: &mut [u32], mut vertex: u32) -> u32 {
    while above[vertex as usize] != vertex {
        let next = above[vertex as usize];
        above[vertex as usize] = above[next as usize];
        vertex = next;
    }
    vertex
}
