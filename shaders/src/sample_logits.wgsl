// sample_logits: one id for each row of logits: guidance, temperature, top-k, top-p, and a draw by inverse distribution function.
//   conditional, unconditional [rows, codes]  given [rows]  ->  ids [rows]
// One workgroup a row. Thresholds are found bit by bit on the integers that order floats, so nothing is sorted and every tie
// of a threshold stays. The draw walks the codes in order: each lane has a run of them.
// Twin: cpu/sample_logits.rs.  Random numbers: Philox 4x32-10 (Salmon et al. 2011) of seed, step and row.
const GRID_WIDTH: u32 = {{ grid_width }}u;
const LANES: u32 = 256u;

@group(0) @binding(0) var<storage, read_write> conditional: array<f32>;
@group(0) @binding(1) var<storage, read_write> unconditional: array<f32>;
@group(0) @binding(2) var<storage, read_write> given: array<f32>;
@group(0) @binding(3) var<storage, read_write> ids: array<i32>;
// rows, codes, bits of scale, bits of temperature, k (0 for all), bits of p, flags (1 guided, 2 given), seed and step as two words
@group(0) @binding(4) var<storage, read_write> info: array<u32>;

var<workgroup> floats: array<f32, LANES>;
var<workgroup> counts: array<u32, LANES>;

fn value(at: u32) -> f32 {
    let c = conditional[at];
    var logit = c;
    if ((info[6] & 1u) != 0u) {
        let u = unconditional[at];
        logit = u + bitcast<f32>(info[2]) * (c - u);
    }
    return logit / bitcast<f32>(info[3]);
}

// Integers in the order of the floats.
fn key(number: f32) -> u32 {
    let bits = bitcast<u32>(number);
    return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

fn sum_floats(lane: u32, number: f32) -> f32 {
    floats[lane] = number;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            floats[lane] += floats[lane + half];
        }
        workgroupBarrier();
    }
    let sum = floats[0];
    workgroupBarrier();
    return sum;
}

fn sum_counts(lane: u32, number: u32) -> u32 {
    counts[lane] = number;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            counts[lane] += counts[lane + half];
        }
        workgroupBarrier();
    }
    let sum = counts[0];
    workgroupBarrier();
    return sum;
}

// Weights of the codes of a row whose keys are at least `least` and above `above`.
fn mass(lane: u32, start: u32, codes: u32, highest: f32, least: u32, above: u32) -> f32 {
    var sum = 0.0;
    for (var i = lane; i < codes; i += LANES) {
        let number = value(start + i);
        let order = key(number);
        if (order >= least && order > above) {
            sum += exp(number - highest);
        }
    }
    return sum_floats(lane, sum);
}

fn high_product(a: u32, b: u32) -> u32 {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    let middle = a1 * b0 + ((a0 * b0) >> 16u);
    let other = a0 * b1 + (middle & 0xffffu);
    return a1 * b1 + (middle >> 16u) + (other >> 16u);
}

fn uniform_number(row: u32) -> f32 {
    var counter = vec4<u32>(row, info[9], info[10], 0u);
    var k = vec2<u32>(info[7], info[8]);
    for (var round = 0u; round < 10u; round += 1u) {
        let first = 0xd2511f53u;
        let second = 0xcd9e8d57u;
        counter = vec4<u32>(
            high_product(second, counter.z) ^ counter.y ^ k.x,
            second * counter.z,
            high_product(first, counter.x) ^ counter.w ^ k.y,
            first * counter.x,
        );
        k += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return f32(counter.x >> 8u) / 16777216.0;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Surplus workgroups of a folded grid repeat the last row, so that barriers stay uniform.
    let row = min(group.x + group.y * GRID_WIDTH, info[0] - 1u);
    let codes = info[1];
    let start = row * codes;

    var highest = -3.4e38;
    for (var i = lane; i < codes; i += LANES) {
        highest = max(highest, value(start + i));
    }
    floats[lane] = highest;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            floats[lane] = max(floats[lane], floats[lane + half]);
        }
        workgroupBarrier();
    }
    highest = floats[0];
    workgroupBarrier();

    // The key of the k-th largest: the largest that k codes reach.
    var least = 0u;
    let k = info[4];
    if (k > 0u && k < codes) {
        for (var bit = 0u; bit < 32u; bit += 1u) {
            let candidate = least | (0x80000000u >> bit);
            var count = 0u;
            for (var i = lane; i < codes; i += LANES) {
                count += select(0u, 1u, key(value(start + i)) >= candidate);
            }
            if (sum_counts(lane, count) >= k) {
                least = candidate;
            }
        }
    }

    // The largest key above which more than p of the mass lies: it and all below go.
    let p = bitcast<f32>(info[5]);
    if (p < 1.0) {
        let bound = p * mass(lane, start, codes, highest, least, 0u);
        var gone = 0u;
        for (var bit = 0u; bit < 32u; bit += 1u) {
            let candidate = gone | (0x80000000u >> bit);
            if (mass(lane, start, codes, highest, least, candidate) > bound) {
                gone = candidate;
            }
        }
        least = max(least, gone + 1u);
    }

    let run = (codes + LANES - 1u) / LANES;
    let first = min(lane * run, codes);
    let end = min(first + run, codes);
    var own = 0.0;
    for (var i = first; i < end; i += 1u) {
        let number = value(start + i);
        if (key(number) >= least) {
            own += exp(number - highest);
        }
    }
    floats[lane] = own;
    workgroupBarrier();
    if (lane == 0u) {
        var total = 0.0;
        for (var other = 0u; other < LANES; other += 1u) {
            total += floats[other];
        }
        var chance = uniform_number(row);
        if ((info[6] & 2u) != 0u) {
            chance = given[row];
        }
        let target_mass = chance * total;
        var sum = 0.0;
        var at = 0u;
        // Runs that end before the target.
        var other = 0u;
        for (; other + 1u < LANES && sum + floats[other] <= target_mass; other += 1u) {
            sum += floats[other];
        }
        for (at = other * run; at < codes; at += 1u) {
            let number = value(start + at);
            if (key(number) >= least) {
                sum += exp(number - highest);
                if (sum > target_mass) {
                    break;
                }
            }
        }
        // Rounding can leave the target out of reach: the last code that can be drawn, which lies before an empty run.
        if (at >= codes) {
            for (at = codes - 1u; at > 0u && key(value(start + at)) < least; at -= 1u) {}
        }
        ids[row] = i32(at);
    }
}
