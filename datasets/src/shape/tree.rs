//! [`TriangleTree`]: a mesh sorted by place, for distances and winding numbers.

use nalgebra::Matrix3;

use super::measure::across;
use super::mesh::{Mesh, Point, Vector};

/// The most faces of a leaf.
const LEAF: usize = 4;

/// A mesh sorted into boxes within boxes. Answers how far a place is from the surface, and whether it is inside.
///
/// ```
/// use tessera_datasets::shape::{Point, Solid, TriangleTree};
/// let ball = TriangleTree::new(&Solid::Sphere { radius: 0.5 }.mesh(33)?);
/// let [inside, outside] = [Point::new(0.1, 0.2, 0.0), Point::new(0.9, 0.0, 0.0)];
/// assert!(ball.winding_number(inside) > 0.99 && ball.winding_number(outside) < 0.01);
/// assert!((ball.signed_distance(outside) - 0.4).abs() < 0.01);
/// # Ok::<(), tessera_datasets::shape::ShapeError>(())
/// ```
pub struct TriangleTree {
    /// Corners of all faces, those of a node side by side.
    pub(super) triangles: Vec<[Point; 3]>,
    /// The faces that they were.
    faces: Vec<u32>,
    pub(super) nodes: Vec<Node>,
    /// What the faces of each node look like from afar.
    pub(super) far: Vec<Far>,
}

/// A box with faces in it. The first child of an inner node is the next node.
pub(super) struct Node {
    low: Point,
    high: Point,
    /// Its faces: `start..end` of [`TriangleTree::triangles`].
    start: u32,
    end: u32,
    /// The second child; 0 for a leaf.
    second: u32,
}

/// Moments of the faces of a node.
#[derive(Clone, Copy)]
pub(super) struct Far {
    /// Mean of the faces' centres, weighted by area.
    pub centre: Point,
    /// Square of the distance from there to the farthest corner.
    pub squared_radius: f64,
    /// Sum of the normals, each as long as its face's area.
    pub normal: Vector,
    /// Sum over faces of (centre of the face - centre) times normal transposed.
    pub spread: Matrix3<f64>,
}

/// The place of a surface that is nearest to another place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearest {
    /// Where it is.
    pub place: Point,
    /// How far away.
    pub distance: f64,
    /// The face that it lies on.
    pub face: usize,
}

impl TriangleTree {
    /// Sorts the faces of a mesh.
    pub fn new(mesh: &Mesh) -> Self {
        let triangles: Vec<[Point; 3]> = mesh.triangles().collect();
        let middles: Vec<Point> = triangles.iter().map(middle).collect();
        // A mesh has fewer than 2^32 faces.
        let mut order: Vec<u32> = (0..triangles.len() as u32).collect();
        let mut nodes = Vec::with_capacity(triangles.len() / 2);
        if !order.is_empty() {
            split(&mut nodes, &triangles, &middles, &mut order, 0);
        }
        let triangles: Vec<[Point; 3]> = order.iter().map(|&face| triangles[face as usize]).collect();
        let far = nodes.iter().map(|node| Far::of(&triangles[node.faces()])).collect();
        Self { triangles, faces: order, nodes, far }
    }

    /// The nearest place on the surface; `None` for a mesh without faces.
    pub fn nearest(&self, place: Point) -> Option<Nearest> {
        let mut best: Option<(f64, Point, usize)> = None;
        let mut open = vec![(0.0, 0_usize)];
        while let Some((distance, index)) = open.pop() {
            let Some(node) = self.nodes.get(index) else { continue };
            if best.is_some_and(|(best, ..)| distance > best) {
                continue;
            }
            let Some([first, second]) = node.children(index) else {
                for at in node.faces() {
                    let found = nearest_of(place, self.triangles[at]);
                    let squared = (found - place).norm_squared();
                    if best.is_none_or(|(best, ..)| squared < best) {
                        best = Some((squared, found, at));
                    }
                }
                continue;
            };
            let [a, b] = [first, second].map(|child| (self.nodes[child].squared_distance(place), child));
            // The nearer one is opened first.
            open.extend(if a.0 < b.0 { [b, a] } else { [a, b] });
        }
        best.map(|(squared, place, at)| Nearest { place, distance: squared.sqrt(), face: self.faces[at] as usize })
    }

    /// Distance to the surface; infinite for a mesh without faces.
    pub fn distance(&self, place: Point) -> f64 {
        self.nearest(place).map_or(f64::INFINITY, |nearest| nearest.distance)
    }

    /// Distance to the surface, negative inside (where the winding number is over a half).
    pub fn signed_distance(&self, place: Point) -> f64 {
        let distance = self.distance(place);
        if self.contains(place) { -distance } else { distance }
    }
}

impl Node {
    /// Indices of its faces in the tree's order.
    pub(super) fn faces(&self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The nodes below that with this index; `None` for a leaf.
    pub(super) fn children(&self, index: usize) -> Option<[usize; 2]> {
        (self.second != 0).then_some([index + 1, self.second as usize])
    }

    fn squared_distance(&self, place: Point) -> f64 {
        let nearest = place.sup(&self.low).inf(&self.high);
        (nearest - place).norm_squared()
    }
}

/// Appends the node of `order` and those below it.
fn split(nodes: &mut Vec<Node>, triangles: &[[Point; 3]], middles: &[Point], order: &mut [u32], start: u32) {
    let corners = || order.iter().flat_map(|&face| triangles[face as usize]);
    let far_away = Point::from(Vector::repeat(f64::INFINITY));
    let (low, high) = corners().fold((far_away, -far_away), |(low, high), p| (low.inf(&p), high.sup(&p)));
    let index = nodes.len();
    // A mesh has fewer than 2^32 faces, and fewer nodes.
    nodes.push(Node { low, high, start, end: start + order.len() as u32, second: 0 });
    if order.len() <= LEAF {
        return;
    }
    let points = || order.iter().map(|&face| middles[face as usize]);
    let (least, most) = points().fold((far_away, -far_away), |(low, high), p| (low.inf(&p), high.sup(&p)));
    let axis = (most - least).imax();
    let half = order.len() / 2;
    order.select_nth_unstable_by(half, |&a, &b| {
        middles[a as usize][axis].total_cmp(&middles[b as usize][axis]).then(a.cmp(&b))
    });
    let (first, second) = order.split_at_mut(half);
    split(nodes, triangles, middles, first, start);
    nodes[index].second = nodes.len() as u32;
    split(nodes, triangles, middles, second, start + half as u32);
}

impl Far {
    fn of(triangles: &[[Point; 3]]) -> Self {
        let (mut area, mut sum, mut normal) = (0.0, Vector::zeros(), Vector::zeros());
        for triangle in triangles {
            let across = across(*triangle) / 2.0;
            area += across.norm();
            sum += middle(triangle).coords * across.norm();
            normal += across;
        }
        let first = || triangles.first().map_or_else(Point::origin, |triangle| triangle[0]);
        let centre = if area > 0.0 { Point::from(sum / area) } else { first() };
        let corners = triangles.iter().flatten();
        let squared_radius = corners.map(|corner| (corner - centre).norm_squared()).fold(0.0, f64::max);
        let parts =
            triangles.iter().map(|triangle| (middle(triangle) - centre) * (across(*triangle) / 2.0).transpose());
        Self { centre, squared_radius, normal, spread: parts.sum() }
    }
}

fn middle([a, b, c]: &[Point; 3]) -> Point {
    Point::from((a.coords + b.coords + c.coords) / 3.0)
}

/// The place of a triangle, of any shape, that is nearest to `place`.
fn nearest_of(place: Point, corners: [Point; 3]) -> Point {
    let [a, b, c] = corners;
    let (ab, ac, ap) = (b - a, c - a, place - a);
    let across = ab.cross(&ac);
    let squared = across.norm_squared();
    if squared > 0.0 {
        let (v, w) = (ap.cross(&ac).dot(&across) / squared, ab.cross(&ap).dot(&across) / squared);
        if v >= 0.0 && w >= 0.0 && v + w <= 1.0 {
            return a + ab * v + ac * w;
        }
    }
    let sides = [on_segment(place, a, b), on_segment(place, b, c), on_segment(place, c, a)];
    let [first, rest @ ..] = sides;
    rest.into_iter().fold(first, |best, other| {
        if (other - place).norm_squared() < (best - place).norm_squared() { other } else { best }
    })
}

fn on_segment(place: Point, a: Point, b: Point) -> Point {
    let along = b - a;
    let squared = along.norm_squared();
    let t = if squared > 0.0 { ((place - a).dot(&along) / squared).clamp(0.0, 1.0) } else { 0.0 };
    a + along * t
}
