//! [`PointTree`]: the nearest of many points.

use rayon::prelude::*;

use crate::shape::mesh::Point;

/// The most points of a leaf.
const LEAF: usize = 12;

/// Points sorted into halves along alternating axes (a k-d tree). The order is the tree: the middle of each range divides it.
pub struct PointTree {
    /// Places and the indices that they were given.
    points: Vec<(Point, u32)>,
    /// Axis along which each inner range is divided, by the index of its middle.
    axes: Vec<u8>,
}

impl PointTree {
    /// Sorts fewer than 2^32 points; the indices of others are cut off.
    pub fn new(points: &[Point]) -> Self {
        let mut points: Vec<(Point, u32)> = points.iter().copied().zip(0..=u32::MAX).collect();
        let mut axes = vec![0; points.len()];
        sort(&mut points, &mut axes);
        Self { points, axes }
    }

    /// Index of the nearest point, the lowest of several, and the distance to it; `None` without points.
    pub fn nearest(&self, place: Point) -> Option<(usize, f64)> {
        let mut best = (f64::INFINITY, u32::MAX);
        self.search(place, 0, self.points.len(), &mut best);
        (best.0 < f64::INFINITY).then(|| (best.1 as usize, best.0.sqrt()))
    }

    /// As [`PointTree::nearest`], for many places on all cores. Index 0 at an infinite distance if there is no point.
    pub fn nearest_each(&self, places: &[Point]) -> Vec<(usize, f64)> {
        places.par_iter().map(|&place| self.nearest(place).unwrap_or((0, f64::INFINITY))).collect()
    }

    fn search(&self, place: Point, start: usize, end: usize, best: &mut (f64, u32)) {
        if end - start <= LEAF {
            self.points[start..end].iter().for_each(|point| consider(place, point, best));
            return;
        }
        let middle = start + (end - start) / 2;
        let point = &self.points[middle];
        consider(place, point, best);
        let axis = usize::from(self.axes[middle]);
        let beyond = place[axis] - point.0[axis];
        let (near, far) =
            if beyond < 0.0 { ((start, middle), (middle + 1, end)) } else { ((middle + 1, end), (start, middle)) };
        self.search(place, near.0, near.1, best);
        // Equal distances count: the index may be lower.
        if beyond * beyond <= best.0 {
            self.search(place, far.0, far.1, best);
        }
    }
}

fn consider(place: Point, (point, index): &(Point, u32), best: &mut (f64, u32)) {
    let found = ((place - point).norm_squared(), *index);
    if found < *best {
        *best = found;
    }
}

fn sort(points: &mut [(Point, u32)], axes: &mut [u8]) {
    if points.len() <= LEAF {
        return;
    }
    let first = points[0].0;
    let (low, high) = points.iter().fold((first, first), |(low, high), (point, _)| (low.inf(point), high.sup(point)));
    let axis = (high - low).imax();
    let middle = points.len() / 2;
    points.select_nth_unstable_by(middle, |a, b| a.0[axis].total_cmp(&b.0[axis]).then(a.1.cmp(&b.1)));
    axes[middle] = axis as u8;
    let (below, above) = points.split_at_mut(middle);
    let (axes_below, axes_above) = axes.split_at_mut(middle);
    let halves = (|| sort(below, axes_below), || sort(&mut above[1..], &mut axes_above[1..]));
    rayon::join(halves.0, halves.1);
}
