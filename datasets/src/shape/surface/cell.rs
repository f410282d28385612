//! How the surface crosses one cell.
//!
//! A cell has eight corners, numbered x + 2y + 4z, each inside or outside: 256 patterns. For each the loops are found by walking
//! round the six faces once, counter-clockwise seen from outside: where the walk enters a run of inside corners and
//! where it leaves it are joined by a segment, in that direction. Every crossed edge is entered on one of its two
//! faces and left on the other, so segments close to loops, with the inside behind them.

use std::sync::OnceLock;

/// Corners of the faces, counter-clockwise seen from outside.
const FACES: [[u8; 4]; 6] = [[0, 4, 6, 2], [1, 3, 7, 5], [0, 1, 5, 4], [2, 6, 7, 3], [0, 2, 3, 1], [4, 5, 7, 6]];

/// An edge of a cell: along `axis`, from the corner `lower`, whose bit of that axis is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CellEdge {
    pub axis: u8,
    pub lower: u8,
}

/// Loops of edges for each of the 256 patterns of inside corners.
pub(super) fn loops(pattern: u8) -> &'static [Vec<CellEdge>] {
    static TABLE: OnceLock<Vec<Vec<Vec<CellEdge>>>> = OnceLock::new();
    let table = TABLE.get_or_init(|| (0..=u8::MAX).map(trace).collect());
    table.get(usize::from(pattern)).map_or(&[], Vec::as_slice)
}

/// Which faces (a bit each: x low, x high, y low, ...) the surface crosses.
pub(super) fn crossed_faces(pattern: u8) -> u8 {
    static TABLE: OnceLock<[u8; 256]> = OnceLock::new();
    let faces = |pattern: usize| {
        let inside = |face: &[u8; 4]| face.iter().filter(|&&corner| pattern >> corner & 1 == 1).count();
        let crossed = |face: &[u8; 4]| (1..4).contains(&inside(face));
        FACES.iter().enumerate().fold(0, |faces, (at, face)| faces | u8::from(crossed(face)) << at)
    };
    TABLE.get_or_init(|| std::array::from_fn(faces))[usize::from(pattern)]
}

fn trace(pattern: u8) -> Vec<Vec<CellEdge>> {
    let is_inside = |corner: u8| pattern >> corner & 1 == 1;
    // The edge that follows each, by axis and lower corner.
    let mut next = [[None::<CellEdge>; 8]; 3];
    for face in FACES {
        for start in 0..4 {
            let corner = |step: usize| face[(start + step) % 4];
            if is_inside(corner(0)) || !is_inside(corner(1)) {
                continue;
            }
            let run = (1..4).take_while(|&step| is_inside(corner(step))).count();
            let (enter, leave) = (between(corner(0), corner(1)), between(corner(run), corner(run + 1)));
            next[usize::from(enter.axis)][usize::from(enter.lower)] = Some(leave);
        }
    }
    let mut loops = Vec::new();
    for axis in 0..3_u8 {
        for lower in 0..8_u8 {
            let (mut edge, mut found) = (CellEdge { axis, lower }, Vec::new());
            while let Some(after) = next[usize::from(edge.axis)][usize::from(edge.lower)].take() {
                found.push(edge);
                edge = after;
            }
            if !found.is_empty() {
                loops.push(found);
            }
        }
    }
    loops
}

/// The edge between two corners that differ in one bit.
fn between(a: u8, b: u8) -> CellEdge {
    CellEdge { axis: (a ^ b).trailing_zeros() as u8, lower: a & b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crossed_edge_is_in_one_loop_and_no_other_is() {
        for pattern in 0..=u8::MAX {
            let mut seen: Vec<CellEdge> = loops(pattern).iter().flatten().copied().collect();
            assert!(loops(pattern).iter().all(|edges| edges.len() >= 3), "{pattern:08b}");
            let crossed = (0..3_u8).flat_map(|axis| (0..8_u8).map(move |lower| CellEdge { axis, lower }));
            let crossed: Vec<CellEdge> = crossed
                .filter(|edge| edge.lower >> edge.axis & 1 == 0)
                .filter(|edge| (pattern >> edge.lower ^ pattern >> (edge.lower | 1 << edge.axis)) & 1 == 1)
                .collect();
            seen.sort_by_key(|edge| (edge.axis, edge.lower));
            assert_eq!(seen, crossed, "{pattern:08b}");
        }
    }

    #[test]
    fn inside_corners_stay_apart_where_a_face_is_ambiguous() {
        // Corners 0 and 3, opposite on the face z = 0.
        assert_eq!(loops(0b0000_1001).len(), 2);
        // Their complement joins its parts round them.
        assert_eq!(loops(0b1111_0110).len(), 1);
    }
}
