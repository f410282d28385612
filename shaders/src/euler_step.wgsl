// euler_step: one Euler step of flow sampling with adaptive projected guidance, item by item.
//   x, cond, uncond, running [b, n]  ->  next [b, n], difference [b, n]
// difference d = cond - uncond + momentum * running; f shortens it to the norm threshold; k is how much of the parallel
// direction is taken away; next = x - dt * (cond + (guidance - 1) * (f d - k cond)).
// One workgroup per item: one pass for the difference and three sums (added up as a tree), one for the step.
// Twin: cpu/euler_step.rs.
const LANES: u32 = 256u;
const GRID_WIDTH: u32 = {{ grid_width }}u;

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> cond: array<f32>;
@group(0) @binding(2) var<storage, read_write> uncond: array<f32>;
@group(0) @binding(3) var<storage, read_write> running: array<f32>;
@group(0) @binding(4) var<storage, read_write> next: array<f32>;
@group(0) @binding(5) var<storage, read_write> difference: array<f32>;
// b, n, whether there is a running difference, then the bits of dt, guidance, eta, momentum, norm threshold
@group(0) @binding(6) var<storage, read_write> info: array<u32>;

var<workgroup> partial: array<vec3<f32>, LANES>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Surplus workgroups of a folded grid repeat the last item, so that barriers stay uniform.
    let item = min(group.x + group.y * GRID_WIDTH, info[0] - 1u);
    let count = info[1];
    let start = item * count;
    let dt = bitcast<f32>(info[3]);
    let guidance = bitcast<f32>(info[4]);
    let eta = bitcast<f32>(info[5]);
    let momentum = bitcast<f32>(info[6]);
    let threshold = bitcast<f32>(info[7]);

    // Squares of d, d times cond, squares of cond; sixteen values at a time, so that a lane adds few numbers to a large sum.
    var sums = vec3<f32>(0.0);
    for (var first = lane; first < count; first += 16u * LANES) {
        var some = vec3<f32>(0.0);
        for (var i = first; i < min(first + 16u * LANES, count); i += LANES) {
            let c = cond[start + i];
            var d = c - uncond[start + i];
            if (info[2] == 1u) {
                d = fma(momentum, running[start + i], d);
            }
            difference[start + i] = d;
            some = fma(vec3<f32>(d, d, c), vec3<f32>(d, c, c), some);
        }
        sums += some;
    }
    partial[lane] = sums;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            partial[lane] += partial[lane + half];
        }
        workgroupBarrier();
    }
    sums = partial[0];

    let norm = sqrt(sums.x);
    let factor = select(1.0, threshold / norm, threshold > 0.0 && norm > threshold);
    let taken = factor * sums.y / max(sums.z, 1e-24) * (1.0 - eta);
    for (var i = lane; i < count; i += LANES) {
        let c = cond[start + i];
        let kept = factor * difference[start + i] - taken * c;
        next[start + i] = x[start + i] - dt * (c + (guidance - 1.0) * kept);
    }
}
