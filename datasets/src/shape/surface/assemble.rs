//! From crossed cells, layer by layer, to a mesh.

use super::cell::{CellEdge, loops};
use super::{Fill, Lattice, LatticeEdge};
use crate::shape::error::{Result, ShapeError};
use crate::shape::mesh::{MAX_ELEMENTS, Mesh, Point, Vector};

/// Marks the index of a loop's mean point, which is numbered after all crossings.
const MEAN: u32 = 1 << 31;

/// Takes cells in the order of their x, and gives every crossing its one vertex.
pub(super) struct Assembler {
    lattice: Lattice,
    fill: Fill,
    /// Vertices on edges along x, by y and z of the edge, and the layer that each was made in.
    along_x: Vec<Slot>,
    /// Vertices on edges along y and z, of even and of odd layers.
    along: [[Vec<Slot>; 2]; 2],
    crossings: Vec<LatticeEdge>,
    places: Vec<Point>,
    means: Vec<Point>,
    faces: Vec<[u32; 3]>,
    corners: Vec<u32>,
}

/// A vertex and the layer of its edge's lower end; any other layer's entry is stale.
#[derive(Clone, Copy)]
struct Slot {
    layer: u16,
    vertex: u32,
}

impl Assembler {
    pub(super) fn new(lattice: Lattice, fill: Fill) -> Self {
        let slots = || vec![Slot { layer: u16::MAX, vertex: 0 }; lattice.side() * lattice.side()];
        Self {
            lattice,
            fill,
            along_x: slots(),
            along: [[slots(), slots()], [slots(), slots()]],
            crossings: Vec::new(),
            places: Vec::new(),
            means: Vec::new(),
            faces: Vec::new(),
            corners: Vec::new(),
        }
    }

    /// Adds the cell whose lowest corner is `cell`; `values` are those of its corners.
    pub(super) fn cell(&mut self, cell: [u16; 3], values: [f32; 8]) -> Result<()> {
        for edges in loops(pattern(values)) {
            let mut corners = std::mem::take(&mut self.corners);
            corners.clear();
            corners.extend(edges.iter().map(|&edge| self.vertex(cell, edge, &values)));
            self.add(&corners);
            self.corners = corners;
        }
        let limit = MAX_ELEMENTS as u64;
        let found = (self.places.len() + self.means.len()).max(self.faces.len()) as u64;
        match found > limit {
            true => Err(ShapeError::TooMany { what: "elements of a surface", limit, found }),
            false => Ok(()),
        }
    }

    /// The mesh, and the edges that its first vertices lie on.
    pub(super) fn finish(self) -> (Mesh, Vec<LatticeEdge>) {
        let crossings = self.places.len() as u32;
        let number = |vertex: u32| if vertex & MEAN == 0 { vertex } else { crossings + (vertex & !MEAN) };
        let faces = self.faces.into_iter().map(|face| face.map(number)).collect();
        let mut vertices = self.places;
        vertices.extend(self.means);
        (Mesh::from_parts(vertices, faces), self.crossings)
    }

    fn vertex(&mut self, cell: [u16; 3], edge: CellEdge, values: &[f32; 8]) -> u32 {
        let mut lower = cell;
        for (axis, index) in lower.iter_mut().enumerate() {
            *index += u16::from(edge.lower >> axis & 1);
        }
        let [x, y, z] = lower;
        let at = usize::from(y) * self.lattice.side() + usize::from(z);
        let slot = match edge.axis {
            0 => &mut self.along_x[at],
            axis => &mut self.along[usize::from(axis - 1)][usize::from(x % 2)][at],
        };
        if slot.layer == x {
            return slot.vertex;
        }
        // At most `MAX_ELEMENTS` and a cell's worth more.
        let vertex = self.places.len() as u32;
        *slot = Slot { layer: x, vertex };
        let [a, b] = [edge.lower, edge.lower | 1 << edge.axis].map(|corner| f64::from(values[usize::from(corner)]));
        let mut place = self.lattice.place(lower);
        let axis = usize::from(edge.axis);
        place[axis] = self.lattice.coordinate(f64::from(lower[axis]) + a / (a - b));
        self.places.push(place);
        self.crossings.push(LatticeEdge { axis: edge.axis, lower });
        vertex
    }

    fn add(&mut self, corners: &[u32]) {
        if corners.len() == 3 || self.fill == Fill::Fan {
            let (Some(&first), rest) = (corners.first(), corners.get(1..).unwrap_or_default()) else { return };
            self.faces.extend(rest.windows(2).filter_map(|pair| Some([first, *pair.first()?, *pair.get(1)?])));
            return;
        }
        let sum: Vector = corners.iter().map(|&corner| self.places[corner as usize].coords).sum();
        let mean = self.means.len() as u32 | MEAN;
        self.means.push(Point::from(sum / corners.len() as f64));
        let after = corners.iter().cycle().skip(1);
        self.faces.extend(corners.iter().zip(after).map(|(&a, &b)| [a, b, mean]));
    }
}

/// Which corners are inside, a bit each.
pub(super) fn pattern(values: [f32; 8]) -> u8 {
    values.iter().enumerate().fold(0, |pattern, (corner, &value)| pattern | u8::from(value >= 0.0) << corner)
}
