//! The generalised winding number: how often a surface goes round a place. For a closed surface it is 1 inside and 0 outside; for
//! an open one it passes from one to the other through the hole.

use std::f64::consts::PI;

use rayon::prelude::*;

use super::measure::across;
use super::mesh::{Mesh, Point};
use super::tree::{Far, TriangleTree};

/// Faces farther away than this many of their radii are summed as one (Barill et al. 2018 take 2 with the same two terms).
const FAR: f64 = 3.0;
/// The same for a first look, and how near to a half its outcome may be to be trusted.
const ROUGHLY_FAR: f64 = 1.7;
const CLOSE: f64 = 0.2;

/// The winding number of a mesh round a place, face by face: exact, and slow for many faces.
pub fn winding_number(mesh: &Mesh, place: Point) -> f64 {
    mesh.triangles().map(|triangle| solid_angle(triangle, place)).sum::<f64>() / (4.0 * PI)
}

impl TriangleTree {
    /// The winding number round a place. Faces that are far away are summed by groups: the error is about 0.002 and at most a few hundredths,
    /// and the cost grows with the logarithm of their number.
    pub fn winding_number(&self, place: Point) -> f64 {
        self.summed(place, FAR)
    }

    /// Whether a place is inside: whether its winding number is over a half.
    pub fn contains(&self, place: Point) -> bool {
        let rough = self.summed(place, ROUGHLY_FAR);
        if (rough - 0.5).abs() > CLOSE { rough > 0.5 } else { self.winding_number(place) > 0.5 }
    }

    fn summed(&self, place: Point, far: f64) -> f64 {
        let (mut sum, mut open) = (0.0, vec![0_usize]);
        let squared_far = far * far;
        while let Some(index) = open.pop() {
            let (Some(node), Some(far)) = (self.nodes.get(index), self.far.get(index)) else { continue };
            if (place - far.centre).norm_squared() > squared_far * far.squared_radius {
                sum += far.solid_angle(place);
            } else if let Some([first, second]) = node.children(index) {
                open.extend([second, first]);
            } else {
                let triangles = self.triangles[node.faces()].iter();
                sum += triangles.map(|&triangle| solid_angle(triangle, place)).sum::<f64>();
            }
        }
        sum / (4.0 * PI)
    }

    /// As [`TriangleTree::contains`], for many places on all cores.
    pub fn contains_each(&self, places: &[Point]) -> Vec<bool> {
        places.par_iter().map(|&place| self.contains(place)).collect()
    }
}

/// The angle that a triangle fills, seen from a place (van Oosterom and Strackee 1983); positive seen from behind.
fn solid_angle(corners: [Point; 3], place: Point) -> f64 {
    // A triangle without area fills nothing, whatever rounding makes of it.
    if across(corners) == nalgebra::Vector3::zeros() {
        return 0.0;
    }
    let [a, b, c] = corners.map(|corner| corner - place);
    let [la, lb, lc] = [a.norm(), b.norm(), c.norm()];
    let below = la * lb * lc + a.dot(&b) * lc + b.dot(&c) * la + c.dot(&a) * lb;
    2.0 * a.dot(&b.cross(&c)).atan2(below)
}

impl Far {
    /// The angle that the faces fill together, to the first two terms of its expansion.
    fn solid_angle(&self, place: Point) -> f64 {
        let to = self.centre - place;
        let (squared, distance) = (to.norm_squared(), to.norm());
        let cubed = squared * distance;
        let first = self.normal.dot(&to) / cubed;
        let second = self.spread.trace() / cubed - 3.0 * to.dot(&(self.spread * to)) / (cubed * squared);
        let sum = first + second;
        if sum.is_finite() { sum } else { 0.0 }
    }
}
