// modulated_norm: y = (x - mean) * rsqrt(var + eps) * (1 + scale) + shift, moments over the channels of one position.
//   x [b, length, channels]  shift, scale [b, kinds, channels]  ->  y [b, length, channels]
// Positions from `first` on take the second kind where there are two. One workgroup per position: mean, then variance
// around it, then the output; three reads, one write.  Twin: cpu/modulated_norm.rs.
const LANES: u32 = 64u;
const GRID_WIDTH: u32 = {{ grid_width }}u;

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> shift: array<f32>;
@group(0) @binding(2) var<storage, read_write> scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> info: array<u32>; // b * length, length, channels, kinds, first, bits of eps

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

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Surplus workgroups of a folded grid repeat the last position, so that barriers stay uniform.
    let row = min(group.x + group.y * GRID_WIDTH, info[0] - 1u);
    let length = info[1];
    let channels = info[2];
    let kinds = info[3];
    let kind = select(0u, 1u, kinds == 2u && row % length >= info[4]);
    let modulation = (row / length * kinds + kind) * channels;
    let start = row * channels;

    var sum = 0.0;
    for (var i = lane; i < channels; i += LANES) {
        sum += x[start + i];
    }
    let mean = reduce(lane, sum) / f32(channels);

    var squares = 0.0;
    for (var i = lane; i < channels; i += LANES) {
        let centred = x[start + i] - mean;
        squares = fma(centred, centred, squares);
    }
    let deviation = inverseSqrt(reduce(lane, squares) / f32(channels) + bitcast<f32>(info[5]));

    for (var i = lane; i < channels; i += LANES) {
        let normal = (x[start + i] - mean) * deviation;
        y[start + i] = normal * (1.0 + scale[modulation + i]) + shift[modulation + i];
    }
}
