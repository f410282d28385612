// fsq_codes: the codes of indices, the first dimension fastest.
//   indices [rows]  ->  codes [rows, dims]
// One lane per row.  Twin: cpu/fsq.rs.
const GRID_WIDTH: u32 = {{ grid_width }}u;

@group(0) @binding(0) var<storage, read_write> indices: array<i32>;
@group(0) @binding(1) var<storage, read_write> codes: array<f32>;
@group(0) @binding(2) var<storage, read_write> info: array<u32>; // rows, dims, then level, half, offset, shift, width

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (group.x + group.y * GRID_WIDTH) * 64u + lane;
    if (row >= info[0]) {
        return;
    }
    let dims = info[1];
    var rest = u32(indices[row]);
    for (var d = 0u; d < dims; d += 1u) {
        let at = 2u + 5u * d;
        let level = info[at];
        let width = bitcast<f32>(info[at + 4u]);
        codes[row * dims + d] = (f32(rest % level) - width) / width;
        rest /= level;
    }
}
