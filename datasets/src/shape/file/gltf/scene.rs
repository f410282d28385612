//! A scene's nodes, and the triangles that hang on them.

use nalgebra::{Matrix4, Quaternion, Translation3, UnitQuaternion, Vector3};

use super::accessor::Store;
use super::document::{Document, Node, Primitive};
use crate::shape::error::{Result, ShapeError};
use crate::shape::mesh::{MAX_ELEMENTS, Mesh, Point};

/// Elements that any document may unfold to, and how many more for each of its bytes: nodes may repeat a mesh without end.
const ALWAYS: u64 = 1 << 20;
const FOR_EACH_BYTE: u64 = 4;

/// All triangles of the document's scene, or of all its roots if it names none.
pub(super) fn read(name: &str, document: &Document, buffers: &[Vec<u8>]) -> Result<Mesh> {
    let bytes: u64 = buffers.iter().map(|buffer| buffer.len() as u64).sum();
    let limit = (ALWAYS + FOR_EACH_BYTE * bytes).min(MAX_ELEMENTS as u64);
    let store = Store { name, document, buffers, limit };
    let mut out = Unfolded { store, vertices: Vec::new(), faces: Vec::new() };
    for (transform, mesh) in placed(&out.store)? {
        let shape = document.meshes.get(mesh);
        let shape = shape.ok_or_else(|| out.store.wrong(format!("mesh {mesh}, which is not there")))?;
        shape.primitives.iter().try_for_each(|primitive| out.add(primitive, &transform))?;
    }
    Mesh::new(out.vertices, out.faces)
}

/// Meshes by index, each with where it stands.
fn placed(store: &Store<'_>) -> Result<Vec<(Matrix4<f64>, usize)>> {
    let document = store.document;
    if document.nodes.is_empty() {
        return Ok((0..document.meshes.len()).map(|mesh| (Matrix4::identity(), mesh)).collect());
    }
    let roots = match document.scenes.get(document.scene.unwrap_or(0)) {
        Some(scene) => scene.nodes.clone(),
        None if document.scene.is_some() => return Err(store.wrong("a scene that is not there")),
        None => {
            let mut is_child = vec![false; document.nodes.len()];
            for child in document.nodes.iter().flat_map(|node| &node.children) {
                is_child.get_mut(*child).into_iter().for_each(|is_child| *is_child = true);
            }
            (0..document.nodes.len()).zip(is_child).filter(|(_, is_child)| !is_child).map(|(node, _)| node).collect()
        }
    };
    let (mut open, mut found) = (Vec::new(), Vec::new());
    open.extend(roots.into_iter().rev().map(|node| (Matrix4::identity(), node)));
    let mut seen = vec![false; document.nodes.len()];
    while let Some((above, index)) = open.pop() {
        let (Some(node), Some(seen)) = (document.nodes.get(index), seen.get_mut(index)) else {
            return Err(store.wrong(format!("node {index}, which is not there")));
        };
        if std::mem::replace(seen, true) {
            return Err(store.wrong(format!("node {index} at two places of the scene")));
        }
        let transform = above * own_transform(node);
        found.extend(node.mesh.map(|mesh| (transform, mesh)));
        open.extend(node.children.iter().rev().map(|&child| (transform, child)));
    }
    Ok(found)
}

fn own_transform(node: &Node) -> Matrix4<f64> {
    if let Some(columns) = node.matrix {
        return Matrix4::from_column_slice(&columns);
    }
    let [x, y, z, w] = node.rotation.unwrap_or([0.0, 0.0, 0.0, 1.0]);
    let rotation = UnitQuaternion::try_new(Quaternion::new(w, x, y, z), 0.0).unwrap_or_else(UnitQuaternion::identity);
    let scale = Vector3::from(node.scale.unwrap_or([1.0; 3]));
    Translation3::from(node.translation.unwrap_or([0.0; 3])).to_homogeneous()
        * rotation.to_homogeneous()
        * Matrix4::new_nonuniform_scaling(&scale)
}

/// Vertices and faces so far.
struct Unfolded<'a> {
    store: Store<'a>,
    vertices: Vec<Point>,
    faces: Vec<[u32; 3]>,
}

impl Unfolded<'_> {
    fn add(&mut self, primitive: &Primitive, transform: &Matrix4<f64>) -> Result<()> {
        let (mode, Some(position)) = (primitive.mode.unwrap_or(4), primitive.attributes.position) else {
            return Ok(());
        };
        if !(4..=6).contains(&mode) {
            return Ok(());
        }
        let places = self.store.places(position)?;
        let corners = match primitive.indices {
            Some(indices) => self.store.indices(indices)?,
            None => (0..u32::try_from(places.len()).unwrap_or(u32::MAX)).collect(),
        };
        self.check("vertices", self.vertices.len(), places.len())?;
        self.check("faces", self.faces.len(), corners.len())?;
        if let Some(&index) = corners.iter().find(|&&index| index as usize >= places.len()) {
            return Err(ShapeError::Corner { face: self.faces.len(), index: index.into(), vertices: places.len() });
        }
        let first = u32::try_from(self.vertices.len()).unwrap_or(u32::MAX);
        self.vertices.extend(places.into_iter().map(|place| transform.transform_point(&Point::from(place))));
        // A reflection turns faces inside out.
        let turns = transform.fixed_view::<3, 3>(0, 0).determinant() < 0.0;
        let place = |[a, b, c]: [u32; 3]| if turns { [a, c, b] } else { [a, b, c] }.map(|index| first + index);
        match mode {
            4 => self.faces.extend(corners.as_chunks::<3>().0.iter().map(|&face| place(face))),
            5 => self.faces.extend(strip(&corners).map(place)),
            _ => self.faces.extend(super::super::bytes::fan(&corners).map(place)),
        }
        Ok(())
    }

    fn check(&self, what: &'static str, so_far: usize, more: usize) -> Result<()> {
        let found = so_far as u64 + more as u64;
        match found > self.store.limit {
            true => Err(ShapeError::TooMany { what, limit: self.store.limit, found }),
            false => Ok(()),
        }
    }
}

/// Triangles of a strip; every second one is turned.
fn strip(corners: &[u32]) -> impl Iterator<Item = [u32; 3]> {
    corners.windows(3).enumerate().filter_map(|(index, corners)| match (corners, index % 2) {
        ([a, b, c], 0) => Some([*a, *b, *c]),
        ([a, b, c], _) => Some([*b, *a, *c]),
        _ => None,
    })
}
