// nearest_code: index of the closest codebook row for each latent (squared L2; the first index wins ties).
//   latents [n, DIM]  codebook [v, DIM]  ->  indices [n]
// A workgroup holds ROWS latents and lets LANES lanes each walk every LANES-th code of a tile that all of
// them share; the lanes then reduce (distance, index) pairs. The [n, v] distance matrix never exists.
// Twin: cpu/nearest_code.rs.  DIM <= 128 (two tiles fit 16 KiB); larger DIM takes the tensor-op reference.
const DIM: u32 = {{ dim }}u;
const TILE: u32 = {{ tile }}u;
const ROWS: u32 = 8u;
const LANES: u32 = 8u;
const GRID_WIDTH: u32 = {{ grid_width }}u;

@group(0) @binding(0) var<storage, read_write> latents: array<f32>;
@group(0) @binding(1) var<storage, read_write> codebook: array<f32>;
@group(0) @binding(2) var<storage, read_write> indices: array<i32>;
@group(0) @binding(3) var<storage, read_write> info: array<u32>; // n, v

var<workgroup> rows: array<f32, ROWS * DIM>;
var<workgroup> tile: array<f32, TILE * DIM>;
var<workgroup> best_distance: array<f32, ROWS * LANES>;
var<workgroup> best_index: array<u32, ROWS * LANES>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let n = info[0];
    let v = info[1];
    let first_row = (group.x + group.y * GRID_WIDTH) * ROWS;
    let row = lane / LANES;
    let column = lane % LANES;

    for (var i = lane; i < ROWS * DIM; i += 64u) {
        let source = first_row * DIM + i;
        rows[i] = select(0.0, latents[min(source, n * DIM - 1u)], source < n * DIM);
    }

    var nearest = 3.4e38;
    var nearest_at = 0u;
    for (var start = 0u; start < v; start += TILE) {
        workgroupBarrier();
        for (var i = lane; i < TILE * DIM; i += 64u) {
            tile[i] = codebook[min(start * DIM + i, v * DIM - 1u)];
        }
        workgroupBarrier();
        let count = min(TILE, v - start);
        for (var code = column; code < count; code += LANES) {
            var distance = 0.0;
            for (var d = 0u; d < DIM; d += 1u) {
                let difference = rows[row * DIM + d] - tile[code * DIM + d];
                distance = fma(difference, difference, distance);
            }
            if (distance < nearest) {
                nearest = distance;
                nearest_at = start + code;
            }
        }
    }
    best_distance[lane] = nearest;
    best_index[lane] = nearest_at;
    workgroupBarrier();

    if (column == 0u && first_row + row < n) {
        for (var other = 1u; other < LANES; other += 1u) {
            let distance = best_distance[row * LANES + other];
            let index = best_index[row * LANES + other];
            if (distance < nearest || (distance == nearest && index < nearest_at)) {
                nearest = distance;
                nearest_at = index;
            }
        }
        indices[first_row + row] = i32(nearest_at);
    }
}
