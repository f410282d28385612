// triplane_sample_gradient: what the gradient of the features of points is for the texels of three planes.
//   points [b, n, 3]  grad [b, n, 3 * channels], or [b, n, channels]  ->  gradient [b, 3, channels, height, width]
// WGSL adds no floats atomically, and sums in no order would differ from run to run. So texels gather: a workgroup has a tile of
// 16x16 texels of one plane and a block of channels, looks at 256 points at a time, marks those that touch the tile in eight
// words, and each lane adds the marked ones to its texel in their order.
// Twin: cpu/triplane_sample.rs.  Forward: triplane_sample.wgsl.
const SUM: u32 = {{ sum }}u;
const GRID_WIDTH: u32 = {{ grid_width }}u;
const SIDE: u32 = 16u;
const LANES: u32 = 256u;
const WORDS: u32 = 8u;
const BLOCK: u32 = 32u;

@group(0) @binding(0) var<storage, read_write> points: array<f32>;
@group(0) @binding(1) var<storage, read_write> grad: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>;
// workgroups, n, channels, height, width
@group(0) @binding(3) var<storage, read_write> info: array<u32>;

var<workgroup> places: array<vec2<f32>, LANES>;
var<workgroup> marks: array<atomic<u32>, WORDS>;

fn texel(coordinate: f32, side: u32) -> f32 {
    return clamp(((coordinate + 1.0) * f32(side) - 1.0) * 0.5, 0.0, f32(side - 1u));
}

// Whether the texels on both sides of a place reach into the tile from `first` on.
fn touches(place: f32, first: u32) -> bool {
    let low = u32(place);
    return low < first + SIDE && low + 1u >= first;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Surplus workgroups of a folded grid repeat the last tile, so that barriers stay uniform.
    let index = min(group.x + group.y * GRID_WIDTH, info[0] - 1u);
    let n = info[1];
    let channels = info[2];
    let height = info[3];
    let width = info[4];
    let columns = (width + SIDE - 1u) / SIDE;
    let rows = (height + SIDE - 1u) / SIDE;
    let blocks = (channels + BLOCK - 1u) / BLOCK;
    let first_column = index % columns * SIDE;
    let first_row = index / columns % rows * SIDE;
    let first_channel = index / columns / rows % blocks * BLOCK;
    let plane = index / columns / rows / blocks % 3u;
    let item = index / columns / rows / blocks / 3u;
    let column = first_column + lane % SIDE;
    let row = first_row + lane / SIDE;
    let count = min(BLOCK, channels - first_channel);
    let features = select(3u * channels, channels, SUM == 1u);
    let offset = first_channel + select(plane * channels, 0u, SUM == 1u);

    var sums: array<f32, BLOCK>;
    for (var start = 0u; start < n; start += LANES) {
        workgroupBarrier();
        if (lane < WORDS) {
            atomicStore(&marks[lane], 0u);
        }
        workgroupBarrier();
        if (start + lane < n) {
            let point = (item * n + start + lane) * 3u;
            let u = texel(points[point + select(0u, 1u, plane == 2u)], width);
            let v = texel(points[point + select(2u, 1u, plane == 0u)], height);
            places[lane] = vec2<f32>(u, v);
            if (touches(u, first_column) && touches(v, first_row)) {
                atomicOr(&marks[lane / 32u], 1u << (lane % 32u));
            }
        }
        workgroupBarrier();
        for (var word = 0u; word < WORDS; word += 1u) {
            for (var bits = atomicLoad(&marks[word]); bits != 0u; bits &= bits - 1u) {
                let other = word * 32u + firstTrailingBit(bits);
                let apart = abs(places[other] - vec2<f32>(f32(column), f32(row)));
                let weight = max(1.0 - apart.x, 0.0) * max(1.0 - apart.y, 0.0);
                if (weight > 0.0) {
                    let row_start = (item * n + start + other) * features + offset;
                    for (var c = 0u; c < count; c += 1u) {
                        sums[c] = fma(weight, grad[row_start + c], sums[c]);
                    }
                }
            }
        }
    }

    if (column < width && row < height) {
        for (var c = 0u; c < count; c += 1u) {
            gradient[(((item * 3u + plane) * channels + first_channel + c) * height + row) * width + column] = sums[c];
        }
    }
}
