// fsq: bounds each value, rounds it to the nearest level (half to even), and makes an index of the levels of a row.
//   z [rows, dims]  ->  codes [rows, dims], indices [rows]
// One lane per row. Levels are counted in integers, so that large codebooks index right.  Twin: cpu/fsq.rs.
const GRID_WIDTH: u32 = {{ grid_width }}u;

@group(0) @binding(0) var<storage, read_write> z: array<f32>;
@group(0) @binding(1) var<storage, read_write> codes: array<f32>;
@group(0) @binding(2) var<storage, read_write> indices: array<i32>;
@group(0) @binding(3) var<storage, read_write> info: array<u32>; // rows, dims, then level, half, offset, shift, width

// The built-in function may be off by far more than an ulp, and overflows on some drivers; beyond 10, tanh is 1 in f32.
fn bounded_tanh(x: f32) -> f32 {
    let e = exp(2.0 * clamp(x, -10.0, 10.0));
    return (e - 1.0) / (e + 1.0);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (group.x + group.y * GRID_WIDTH) * 64u + lane;
    if (row >= info[0]) {
        return;
    }
    let dims = info[1];
    var index = 0;
    var basis = 1;
    for (var d = 0u; d < dims; d += 1u) {
        let at = 2u + 5u * d;
        let half = bitcast<f32>(info[at + 1u]);
        let offset = bitcast<f32>(info[at + 2u]);
        let shift = bitcast<f32>(info[at + 3u]);
        let width = bitcast<f32>(info[at + 4u]);
        let level = round(bounded_tanh(z[row * dims + d] + shift) * half - offset);
        codes[row * dims + d] = level / width;
        index += (i32(level) + i32(width)) * basis;
        basis *= i32(info[at]);
    }
    indices[row] = index;
}
