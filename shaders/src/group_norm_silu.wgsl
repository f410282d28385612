// group_norm_silu: y = silu((x - mean) * rsqrt(var + eps) * gamma + beta), moments over one group of channels.
//   x [b, c, s]  gamma [c]  beta [c]  ->  y [b, c, s]      (s = height * width)
// One workgroup per (item, group): mean, then variance around it, then the output; three reads, one write.
// SILU = 0 leaves the activation out.  Twin: cpu/group_norm_silu.rs.
const SILU: u32 = {{ silu }}u;
const LANES: u32 = 256u;
const GRID_WIDTH: u32 = {{ grid_width }}u;

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> gamma: array<f32>;
@group(0) @binding(2) var<storage, read_write> beta: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> info: array<u32>; // items * groups, c, s, groups, bits of eps

var<workgroup> partial: array<f32, LANES>;

fn reduce(lane: u32, value: f32) -> f32 {
    partial[lane] = value;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            partial[lane] += partial[lane + half];
        }
        workgroupBarrier();
    }
    let sum = partial[0];
    workgroupBarrier();
    return sum;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Surplus workgroups of a folded grid repeat the last group, so that barriers stay uniform.
    let index = min(group.x + group.y * GRID_WIDTH, info[0] - 1u);
    let channels = info[1];
    let spatial = info[2];
    let groups = info[3];
    let eps = bitcast<f32>(info[4]);
    let per_group = channels / groups;
    let count = per_group * spatial;
    let start = index * count;
    let first_channel = (index % groups) * per_group;

    var sum = 0.0;
    for (var i = lane; i < count; i += LANES) {
        sum += x[start + i];
    }
    let mean = reduce(lane, sum) / f32(count);

    var squares = 0.0;
    for (var i = lane; i < count; i += LANES) {
        let centred = x[start + i] - mean;
        squares = fma(centred, centred, squares);
    }
    let scale = inverseSqrt(reduce(lane, squares) / f32(count) + eps);

    for (var i = lane; i < count; i += LANES) {
        let channel = first_channel + i / spatial;
        let value = (x[start + i] - mean) * scale * gamma[channel] + beta[channel];
        if (SILU == 1u) {
            y[start + i] = value / (1.0 + exp(-value));
        } else {
            y[start + i] = value;
        }
    }
}
