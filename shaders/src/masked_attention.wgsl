// masked_attention: y = softmax(scale * q k^T where a query sees a key) v, head by head, in one pass over the keys.
//   q [b, queries, heads * DIM]  k, v [b, keys, heads * DIM]  ->  y [b, queries, heads * DIM]
// A workgroup has QUERIES queries of one head, and takes KEYS keys and values at a time through workgroup memory; as
// the maximum of a query's scores rises, its sums so far are scaled down (online softmax). Which keys a query sees is
// the rule MASK about indices, and tiles that none of the queries sees are not read. No [queries, keys] matrix exists.
// Channels stand in fours, zeros behind the last. Lane (row, column) has queries row * Q .. row * Q + Q, keys
// column * K .. column * K + K of a tile, and every eighth four of channels.
// Twin: cpu/attention.  DIM <= 128 (all of it fits 16 KiB); larger DIM takes the tensor-op reference.
// Source: Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"; Dao et al. 2022, "FlashAttention".
const DIM: u32 = {{ dim }}u;
// 0 every key, 1 causal, 2 registers behind patches, 3 a grid by anti-diagonals, 4 blocks, 5 scales
const MASK: u32 = {{ mask }}u;
const Q: u32 = {{ queries_per_lane }}u;
const K: u32 = {{ keys_per_lane }}u;
const GRID_WIDTH: u32 = {{ grid_width }}u;
const SIDE: u32 = 8u;
const LANES: u32 = 64u;
const QUERIES: u32 = SIDE * Q;
const KEYS: u32 = SIDE * K;
const LOWEST: f32 = -3.4e38;
const FOURS: u32 = (DIM + 3u) / 4u;
const OWN: u32 = (FOURS + SIDE - 1u) / SIDE;

@group(0) @binding(0) var<storage, read_write> q: array<f32>;
@group(0) @binding(1) var<storage, read_write> k: array<f32>;
@group(0) @binding(2) var<storage, read_write> v: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
// workgroups, queries, keys, heads, sizes of the rule, bits of scale, two more sizes of the rule, ends of scales
@group(0) @binding(4) var<storage, read_write> info: array<u32>;

var<workgroup> rows: array<vec4<f32>, QUERIES * FOURS>;
var<workgroup> tile: array<vec4<f32>, KEYS * FOURS>;
// Component i is query row * Q + i: the highest score of each lane's keys, and the weight of each key.
var<workgroup> peaks: array<vec4<f32>, LANES>;
var<workgroup> weights: array<vec4<f32>, KEYS * SIDE>;

// How many keys a query sees: always the first so many.
fn visible(query: u32, queries: u32, keys: u32) -> u32 {
    if (MASK == 0u) {
        return keys;
    }
    let behind = query + keys - queries + 1u;
    if (MASK == 1u) {
        return min(behind, keys);
    }
    if (MASK == 2u) {
        return min(max(info[4], behind), keys);
    }
    if (MASK == 4u) {
        return min((behind + info[4] - 1u) / info[4] * info[4], keys);
    }
    if (behind <= info[4]) {
        return select(behind, min(info[4], keys), MASK == 5u && info[7] == 0u);
    }
    if (MASK == 5u) {
        for (var scale = 0u; scale < info[6]; scale += 1u) {
            if (behind - info[4] <= info[8u + scale]) {
                return min(info[4] + info[8u + scale], keys);
            }
        }
        return keys;
    }
    // Diagonals of the grid, until one holds the query.
    let at = behind - info[4];
    let height = info[6];
    let width = info[7];
    var end = 0u;
    for (var diagonal = 0u; end < at && diagonal + 1u < height + width; diagonal += 1u) {
        end += min(min(diagonal + 1u, min(height, width)), height + width - 1u - diagonal);
    }
    return min(info[4] + end, keys);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Surplus workgroups of a folded grid repeat the last block, so that barriers stay uniform.
    let index = min(group.x + group.y * GRID_WIDTH, info[0] - 1u);
    let queries = info[1];
    let keys = info[2];
    let heads = info[3];
    let scale = bitcast<f32>(info[5]);
    let blocks = (queries + QUERIES - 1u) / QUERIES;
    let first = index % blocks * QUERIES;
    let head = index / blocks % heads;
    let item = index / blocks / heads;
    let width = heads * DIM;
    let q_start = item * queries * width + head * DIM;
    let k_start = item * keys * width + head * DIM;
    let row = lane / SIDE;
    let column = lane % SIDE;

    for (var i = lane; i < QUERIES * FOURS; i += LANES) {
        let at = q_start + min(first + i / FOURS, queries - 1u) * width;
        var four = vec4<f32>();
        for (var c = 0u; c < 4u; c += 1u) {
            let channel = i % FOURS * 4u + c;
            if (channel < DIM) {
                four[c] = q[at + channel] * scale;
            }
        }
        rows[i] = four;
    }

    // Of the lane's own queries, and the same in all lanes of a row.
    var seen: array<u32, Q>;
    for (var i = 0u; i < Q; i += 1u) {
        seen[i] = visible(min(first + row * Q + i, queries - 1u), queries, keys);
    }
    var highest = vec4<f32>(LOWEST);
    var sum = vec4<f32>();
    var out: array<array<vec4<f32>, OWN>, Q>;
    let end = visible(min(first + QUERIES, queries) - 1u, queries, keys);
    for (var start = 0u; start < end; start += KEYS) {
        workgroupBarrier();
        for (var i = lane; i < KEYS * FOURS; i += LANES) {
            let at = k_start + min(start + i / FOURS, keys - 1u) * width;
            var four = vec4<f32>();
            for (var c = 0u; c < 4u; c += 1u) {
                let channel = i % FOURS * 4u + c;
                if (channel < DIM) {
                    four[c] = k[at + channel];
                }
            }
            tile[i] = four;
        }
        workgroupBarrier();
        var dots: array<vec4<f32>, K>;
        for (var d = 0u; d < FOURS; d += 1u) {
            var right: array<vec4<f32>, K>;
            for (var j = 0u; j < K; j += 1u) {
                right[j] = tile[(column * K + j) * FOURS + d];
            }
            for (var i = 0u; i < Q; i += 1u) {
                let left = rows[(row * Q + i) * FOURS + d];
                for (var j = 0u; j < K; j += 1u) {
                    dots[j][i] += dot(left, right[j]);
                }
            }
        }
        var peak = vec4<f32>(LOWEST);
        for (var j = 0u; j < K; j += 1u) {
            for (var i = 0u; i < Q; i += 1u) {
                if (start + column * K + j >= seen[i]) {
                    dots[j][i] = LOWEST;
                }
            }
            peak = max(peak, dots[j]);
        }
        peaks[lane] = peak;
        workgroupBarrier();

        for (var i = lane; i < KEYS * FOURS; i += LANES) {
            let at = k_start + min(start + i / FOURS, keys - 1u) * width;
            var four = vec4<f32>();
            for (var c = 0u; c < 4u; c += 1u) {
                let channel = i % FOURS * 4u + c;
                if (channel < DIM) {
                    four[c] = v[at + channel];
                }
            }
            tile[i] = four;
        }
        peak = highest;
        for (var other = 0u; other < SIDE; other += 1u) {
            peak = max(peak, peaks[row * SIDE + other]);
        }
        let factor = exp(highest - peak);
        highest = peak;
        for (var j = 0u; j < K; j += 1u) {
            weights[(column * K + j) * SIDE + row] = exp(dots[j] - peak);
        }
        sum *= factor;
        for (var i = 0u; i < Q; i += 1u) {
            for (var c = 0u; c < OWN; c += 1u) {
                out[i][c] *= factor[i];
            }
        }
        workgroupBarrier();
        for (var key = 0u; key < KEYS; key += 1u) {
            let left = weights[key * SIDE + row];
            sum += left;
            for (var c = 0u; c < OWN; c += 1u) {
                let right = tile[key * FOURS + min(c * SIDE + column, FOURS - 1u)];
                for (var i = 0u; i < Q; i += 1u) {
                    out[i][c] = fma(vec4<f32>(left[i]), right, out[i][c]);
                }
            }
        }
    }

    for (var i = 0u; i < Q; i += 1u) {
        let query = first + row * Q + i;
        if (query < queries) {
            let factor = 1.0 / sum[i];
            for (var own = 0u; own < OWN; own += 1u) {
                for (var c = 0u; c < 4u; c += 1u) {
                    let channel = (own * SIDE + column) * 4u + c;
                    if (channel < DIM) {
                        y[q_start + query * width + channel] = out[i][own][c] * factor;
                    }
                }
            }
        }
    }
}
