// rotary: neighbouring channels of each head turned by the angle of their position.
//   x [b, length, heads * 2 * HALF]  cos, sin [length, half]  ->  y of x's shape
// A lane turns one pair of channels.  Twin: cpu/rotary.rs.
const GRID_WIDTH: u32 = {{ grid_width }}u;

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> cosine: array<f32>;
@group(0) @binding(2) var<storage, read_write> sine: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> info: array<u32>; // pairs, pairs of a position, length, half of a head

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let pair = (group.x + group.y * GRID_WIDTH) * 64u + lane;
    if (pair >= info[0]) {
        return;
    }
    let position = pair / info[1] % info[2];
    let angle = position * info[3] + pair % info[3];
    let c = cosine[angle];
    let s = sine[angle];
    let a = x[2u * pair];
    let b = x[2u * pair + 1u];
    y[2u * pair] = a * c - b * s;
    y[2u * pair + 1u] = b * c + a * s;
}
