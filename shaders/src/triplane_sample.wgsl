// triplane_sample: features of points on three planes, bilinear between texel centres, clamped at the border.
//   planes [b, 3, channels, height, width]  points [b, n, 3] in -1..1  ->  features [b, n, 3 * channels], or [b, n, channels]
// Plane 0 is (x, y), 1 is (x, z), 2 is (y, z): the first coordinate runs along the columns, the second along the rows. Texel i
// of a side of s stands at (2 i + 1) / s - 1. SUM adds the planes' features, else they stand side by side. One lane makes one
// feature of one point.
// Twin: cpu/triplane_sample.rs.  Gradient: triplane_sample_gradient.wgsl.
const SUM: u32 = {{ sum }}u;
const GRID_WIDTH: u32 = {{ grid_width }}u;

@group(0) @binding(0) var<storage, read_write> planes: array<f32>;
@group(0) @binding(1) var<storage, read_write> points: array<f32>;
@group(0) @binding(2) var<storage, read_write> features: array<f32>;
@group(0) @binding(3) var<storage, read_write> info: array<u32>; // features in all, n, channels, height, width

// Where a coordinate lies between the texels of a side.
fn texel(coordinate: f32, side: u32) -> f32 {
    return clamp(((coordinate + 1.0) * f32(side) - 1.0) * 0.5, 0.0, f32(side - 1u));
}

fn sampled(plane: u32, channel: u32, point: u32) -> f32 {
    let height = info[3];
    let width = info[4];
    let u = texel(points[point * 3u + select(0u, 1u, plane == 2u)], width);
    let v = texel(points[point * 3u + select(2u, 1u, plane == 0u)], height);
    let left = min(u32(u), width - 1u);
    let upper = min(u32(v), height - 1u);
    let right = min(left + 1u, width - 1u);
    let lower = min(upper + 1u, height - 1u);
    let s = u - f32(left);
    let t = v - f32(upper);
    let start = ((point / info[1] * 3u + plane) * info[2] + channel) * height * width;
    let above = mix(planes[start + upper * width + left], planes[start + upper * width + right], s);
    let below = mix(planes[start + lower * width + left], planes[start + lower * width + right], s);
    return mix(above, below, t);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = (group.x + group.y * GRID_WIDTH) * 64u + lane;
    if (index >= info[0]) {
        return;
    }
    let channels = info[2];
    if (SUM == 1u) {
        let point = index / channels;
        let channel = index % channels;
        features[index] = sampled(0u, channel, point) + sampled(1u, channel, point) + sampled(2u, channel, point);
    } else {
        let feature = index % (3u * channels);
        features[index] = sampled(feature / channels, feature % channels, index / (3u * channels));
    }
}
