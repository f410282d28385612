// patchify / unpatchify: a picture as patch vectors, and back; a pure permutation, one lane per element.
//   picture [b, c, gh * p, gw * p]  <->  patches [b, gh * gw, p * p * c]
// CHANNELS_LAST = 0: patch vector ordered (c, row, column), the order of a stride-p convolution's weights.
// CHANNELS_LAST = 1: ordered (row, column, c), the order of TiTok's single-stage decoder.
// TO_PICTURE = 1 runs the permutation backwards.  Twin: cpu/patchify.rs.
const TO_PICTURE: u32 = {{ to_picture }}u;
const CHANNELS_LAST: u32 = {{ channels_last }}u;
const GRID_WIDTH: u32 = {{ grid_width }}u;

@group(0) @binding(0) var<storage, read_write> input: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read_write> info: array<u32>; // elements, c, gh, gw, p

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = (group.x + group.y * GRID_WIDTH) * 64u + lane;
    if (index >= info[0]) {
        return;
    }
    let channels = info[1];
    let grid_height = info[2];
    let grid_width = info[3];
    let p = info[4];

    // index runs over the picture: where in the patches is this pixel?
    let width = grid_width * p;
    let x = index % width;
    let y = (index / width) % (grid_height * p);
    let channel = (index / (width * grid_height * p)) % channels;
    let item = index / (width * grid_height * p * channels);
    let patch_index = (item * grid_height + y / p) * grid_width + x / p;
    let inside = (y % p) * p + x % p;
    let element = select(channel * p * p + inside, inside * channels + channel, CHANNELS_LAST == 1u);
    let other = patch_index * p * p * channels + element;

    if (TO_PICTURE == 1u) {
        output[index] = input[other];
    } else {
        output[other] = input[index];
    }
}
