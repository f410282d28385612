//! CPU twin of `triplane_sample.wgsl` and `triplane_sample_gradient.wgsl`.

use multiversion::multiversion;
use rayon::prelude::*;

use crate::triplane_sample::AXES;
use crate::{PlaneMerge, TriplaneGeometry};

/// Points that one task takes.
const POINTS: usize = 256;
/// Texels that one task turns channels last.
const TEXELS: usize = 64;

/// The four texels around a point on one plane, and their weights.
struct Corners {
    texels: [usize; 4],
    weights: [f32; 4],
}

impl Corners {
    fn of(point: &[f32], [column, row]: [usize; 2], geometry: &TriplaneGeometry) -> Self {
        let between = |coordinate: f32, side: usize| {
            let last = side - 1;
            let at = (((coordinate + 1.0) * side as f32 - 1.0) * 0.5).clamp(0.0, last as f32);
            let low = (at as usize).min(last);
            (low, (low + 1).min(last), at - low as f32)
        };
        let (left, right, s) = between(point[column], geometry.width);
        let (upper, lower, t) = between(point[row], geometry.height);
        let at = |row: usize, column: usize| row * geometry.width + column;
        Self {
            texels: [at(upper, left), at(upper, right), at(lower, left), at(lower, right)],
            weights: [(1.0 - s) * (1.0 - t), s * (1.0 - t), (1.0 - s) * t, s * t],
        }
    }
}

/// `planes [b, 3, c, h, w]`, `points [b, n, 3]` to features `[b, n, 3 c]` or `[b, n, c]`.
///
/// Planes are turned channels last first, so that a texel is one run of memory.
pub fn triplane_sample(planes: &[f32], points: &[f32], geometry: &TriplaneGeometry) -> Vec<f32> {
    let TriplaneGeometry { batch, points: n, channels, height, width, merge } = *geometry;
    let (area, features) = (height * width, geometry.features());
    let mut turned = vec![0.0; planes.len()];
    turned.par_chunks_mut(area * channels).zip(planes.par_chunks(area * channels)).for_each(|(out, plane)| {
        out.par_chunks_mut(TEXELS * channels).enumerate().for_each(|(block, out)| {
            for (texel, out) in out.chunks_exact_mut(channels).enumerate() {
                for (channel, out) in out.iter_mut().enumerate() {
                    *out = plane[channel * area + block * TEXELS + texel];
                }
            }
        });
    });
    let mut out = vec![0.0; batch * n * features];
    out.par_chunks_mut(POINTS * features).zip(points.par_chunks(POINTS * 3)).enumerate().for_each(
        |(task, (out, points))| {
            for (at, (out, point)) in out.chunks_exact_mut(features).zip(points.chunks_exact(3)).enumerate() {
                let item = (task * POINTS + at) / n;
                for (plane, axes) in AXES.into_iter().enumerate() {
                    let corners = Corners::of(point, axes, geometry);
                    let start = match merge {
                        PlaneMerge::Concat => plane * channels,
                        PlaneMerge::Sum => 0,
                    };
                    let texels = &turned[(item * 3 + plane) * area * channels..][..area * channels];
                    mix(&mut out[start..][..channels], texels, &corners);
                }
            }
        },
    );
    out
}

/// Adds the weighted texels.
#[multiversion(targets("x86_64+avx512f+fma", "x86_64+avx2+fma"))]
fn mix(out: &mut [f32], texels: &[f32], corners: &Corners) {
    let channels = out.len();
    let [a, b, c, d] = corners.texels.map(|texel| &texels[texel * channels..][..channels]);
    let [wa, wb, wc, wd] = corners.weights;
    for channel in 0..channels {
        out[channel] += wa * a[channel] + wb * b[channel] + wc * c[channel] + wd * d[channel];
    }
}

/// `points [b, n, 3]`, `grad [b, n, 3 c]` or `[b, n, c]` to the gradient `[b, 3, c, h, w]` of the planes; each plane adds its
/// points in their order.
pub fn triplane_sample_gradient(points: &[f32], grad: &[f32], geometry: &TriplaneGeometry) -> Vec<f32> {
    let TriplaneGeometry { batch, points: n, channels, height, width, merge } = *geometry;
    let (area, features) = (height * width, geometry.features());
    let mut gradient = vec![0.0; batch * 3 * channels * area];
    gradient.par_chunks_mut(channels * area).enumerate().for_each(|(index, out)| {
        let (item, plane) = (index / 3, index % 3);
        let start = match merge {
            PlaneMerge::Concat => plane * channels,
            PlaneMerge::Sum => 0,
        };
        let mut sums = vec![0.0; area * channels];
        let rows = grad[item * n * features..][..n * features].chunks_exact(features);
        for (point, row) in points[item * n * 3..][..n * 3].chunks_exact(3).zip(rows) {
            let corners = Corners::of(point, AXES[plane], geometry);
            let row = &row[start..][..channels];
            for (texel, weight) in corners.texels.into_iter().zip(corners.weights) {
                add(&mut sums[texel * channels..][..channels], row, weight);
            }
        }
        for (channel, out) in out.chunks_exact_mut(area).enumerate() {
            for (texel, out) in out.iter_mut().enumerate() {
                *out = sums[texel * channels + channel];
            }
        }
    });
    gradient
}

#[multiversion(targets("x86_64+avx512f+fma", "x86_64+avx2+fma"))]
fn add(sums: &mut [f32], row: &[f32], weight: f32) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += weight * value;
    }
}
