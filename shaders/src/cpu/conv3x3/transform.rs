//! The three transforms of F(4x4, 3x3), each over sixteen tiles or kernels at a time.

use super::geometry::{BLOCK, Block, Conv3x3Geometry, PATCH, Run, TILE};
use crate::cpu::output::Output;
use crate::cpu::product::ROWS;
use crate::cpu::simd::{LANES, Lanes, dispatch};

/// Products of a tile: positions of a transformed patch.
pub(super) const POSITIONS: usize = PATCH * PATCH;

// The transforms touch all 36 positions at once. Were these a power of two apart, they would fall into one set of
// the first-level cache; a line more spreads them.

/// Values from one position of the transformed patches to the next.
pub(super) fn patch_stride(inputs: usize) -> usize {
    inputs * BLOCK + LANES
}

/// Values from one position of the transformed kernels to the next.
pub(super) fn kernel_stride(inputs: usize) -> usize {
    inputs * ROWS + LANES
}

/// Values from one position of the products to the next.
pub(super) const PRODUCT_STRIDE: usize = ROWS * BLOCK + LANES;

/// Transforms the patches of a block: `v [36, inputs, 32]`, positions [`patch_stride`] apart.
pub(super) fn inputs(x: &[f32], geometry: &Conv3x3Geometry, block: &Block, v: &mut [f32]) {
    let pixels = geometry.size[0] * geometry.size[1];
    for (half, runs) in block.iter().enumerate().filter(|(_, runs)| !runs.is_empty()) {
        for channel in 0..geometry.inputs {
            input(x, geometry, runs, channel * pixels, &mut v[channel * BLOCK + half * LANES..]);
        }
    }
}

dispatch!(
    /// Transforms one channel, which begins at `plane` of its item.
    fn input(x: &[f32], geometry: &Conv3x3Geometry, runs: &[Run], plane: usize, v: &mut [f32]) = input_lanes
);

#[inline(always)]
fn input_lanes<V: Lanes>(x: &[f32], geometry: &Conv3x3Geometry, runs: &[Run], plane: usize, v: &mut [f32]) {
    let pixels = geometry.size[0] * geometry.size[1];
    let mut rows = [[V::splat(0.0); PATCH]; PATCH];
    for (dy, row) in rows.iter_mut().enumerate() {
        let of = |run: &Run| &x[run.item * geometry.inputs * pixels + plane..][..pixels];
        // Tile t's pixels 0 to 3 stand at 4t of the first line, its pixels 4 and 5 at 4t of the second.
        let mut lines = [[0.0; LINE]; 2];
        let (first, second) = match inside(of(&runs[0]), geometry, &runs[0], dy) {
            Some(line) => (&line[..LINE], &line[TILE..]),
            None => {
                for run in runs {
                    let mut line = [0.0; LINE + TILE];
                    let line = &mut line[..(run.tiles + 1) * TILE];
                    fill(line, of(run), geometry, run.y + dy, run.x);
                    let (at, len) = (run.lane * TILE, run.tiles * TILE);
                    lines[0][at..at + len].copy_from_slice(&line[..len]);
                    lines[1][at..at + len].copy_from_slice(&line[TILE..]);
                }
                (&lines[0][..], &lines[1][..])
            }
        };
        let [d0, d1, d2, d3] = columns(first);
        let [d4, d5, _, _] = columns(second);
        *row = input_1d([d0, d1, d2, d3, d4, d5]);
    }
    let stride = patch_stride(geometry.inputs);
    for column in 0..PATCH {
        let [r0, r1, r2, r3, r4, r5] = &rows;
        let done = input_1d([r0[column], r1[column], r2[column], r3[column], r4[column], r5[column]]);
        for (row, lanes) in done.into_iter().enumerate() {
            lanes.store(at_mut(v, (row * PATCH + column) * stride));
        }
    }
}

/// Pixels of sixteen tiles in a row.
const LINE: usize = LANES * TILE;

#[inline(always)]
fn at_mut(values: &mut [f32], at: usize) -> &mut [f32; LANES] {
    values[at..].first_chunk_mut().expect("sixteen lanes")
}

#[inline(always)]
fn at(values: &[f32], at: usize) -> &[f32; LANES] {
    values[at..].first_chunk().expect("sixteen lanes")
}

/// 64 pixels as four columns of sixteen tiles.
#[inline(always)]
fn columns<V: Lanes>(line: &[f32]) -> [V; TILE] {
    V::deinterleave([
        V::load(at(line, 0)),
        V::load(at(line, LANES)),
        V::load(at(line, 2 * LANES)),
        V::load(at(line, 3 * LANES)),
    ])
}

/// The picture's own row where a run of sixteen tiles needs nothing outside of it.
#[inline(always)]
fn inside<'a>(plane: &'a [f32], geometry: &Conv3x3Geometry, run: &Run, dy: usize) -> Option<&'a [f32]> {
    let [height, width] = geometry.size;
    let (y, x) = (run.y + dy, run.x);
    let fits = run.tiles == LANES && y > 0 && y <= height && x > 0 && x - 1 + LINE + TILE <= width;
    (fits && !geometry.doubled).then(|| &plane[(y - 1) * width + x - 1..][..LINE + TILE])
}

/// Reads the picture's row `y - 1` from column `x - 1` on into a line of zeros.
#[inline(always)]
fn fill(line: &mut [f32], plane: &[f32], geometry: &Conv3x3Geometry, y: usize, x: usize) {
    let [height, width] = geometry.output_size();
    if y == 0 || y > height {
        return;
    }
    // The picture's columns that the line holds are x - 1 + from .. x - 1 + to.
    let (from, to) = (usize::from(x == 0), line.len().min(width + 1 - x));
    if geometry.doubled {
        let row = &plane[(y - 1) / 2 * geometry.size[1]..][..geometry.size[1]];
        // Tiles begin at even columns, so a pair of equal pixels begins after the first.
        if x > 0 {
            line[0] = row[x / 2 - 1];
        }
        for (pair, &value) in line[1..to].chunks_mut(2).zip(&row[x / 2..]) {
            pair.fill(value);
        }
    } else {
        line[from..to].copy_from_slice(&plane[(y - 1) * width + x + from - 1..][..to - from]);
    }
}

/// B^T d.
#[inline(always)]
fn input_1d<V: Lanes>([d0, d1, d2, d3, d4, d5]: [V; PATCH]) -> [V; PATCH] {
    let (two, four) = (V::splat(2.0), V::splat(4.0));
    let (minus_four, minus_five) = (V::splat(-4.0), V::splat(-5.0));
    let (even, odd) = (d2.mul_add(minus_four, d4), d1.mul_add(minus_four, d3));
    let (even2, odd2) = (d4.sub(d2), d3.sub(d1));
    [
        d0.mul_add(four, d2.mul_add(minus_five, d4)),
        even.add(odd),
        even.sub(odd),
        odd2.mul_add(two, even2),
        even2.sub(odd2.mul(two)),
        d1.mul_add(four, d3.mul_add(minus_five, d5)),
    ]
}

dispatch!(
    /// Transforms the kernels of eight output channels: `weight [8 or fewer, inputs, 9]` to `u [36, inputs, 8]`,
    /// positions [`kernel_stride`] apart.
    pub(super) fn weights(weight: &[f32], inputs: usize, u: &mut [f32]) = weights_lanes
);

/// Two input channels at a time: sixteen kernels in the lanes, as `u` has them side by side.
#[inline(always)]
fn weights_lanes<V: Lanes>(weight: &[f32], inputs: usize, u: &mut [f32]) {
    const PAIR: usize = LANES / ROWS;
    let stride = kernel_stride(inputs);
    for input in (0..inputs).step_by(PAIR) {
        let count = PAIR.min(inputs - input);
        let mut kernel = [[0.0; LANES]; 9];
        for (channel, weight) in weight.chunks_exact(inputs * 9).enumerate() {
            for (one, from) in weight[input * 9..].chunks_exact(9).take(count).enumerate() {
                for (kernel, &value) in kernel.iter_mut().zip(from) {
                    kernel[one * ROWS + channel] = value;
                }
            }
        }
        let mut columns = [[V::splat(0.0); 3]; PATCH];
        for x in 0..3 {
            let column = [V::load(&kernel[x]), V::load(&kernel[3 + x]), V::load(&kernel[6 + x])];
            for (row, lanes) in weight_1d(column).into_iter().enumerate() {
                columns[row][x] = lanes;
            }
        }
        for (row, column) in columns.into_iter().enumerate() {
            for (column, lanes) in weight_1d(column).into_iter().enumerate() {
                let mut values = [0.0; LANES];
                lanes.store(&mut values);
                let to = &mut u[(row * PATCH + column) * stride + input * ROWS..][..count * ROWS];
                to.copy_from_slice(&values[..count * ROWS]);
            }
        }
    }
}

/// G g.
#[inline(always)]
fn weight_1d<V: Lanes>([g0, g1, g2]: [V; 3]) -> [V; PATCH] {
    let (sixth, twelfth) = (V::splat(-1.0 / 6.0), V::splat(1.0 / 12.0));
    let (even, odd) = (g0.add(g2).mul(sixth), g1.mul(sixth));
    let even2 = g0.mul(V::splat(1.0 / 24.0)).sub(g2.mul(sixth));
    let odd2 = g1.mul(twelfth);
    [g0.mul(V::splat(0.25)), even.add(odd), even.sub(odd), even2.add(odd2), even2.sub(odd2), g2]
}

/// Writes the pixels of a block of tiles in eight output channels, from the products `m [36, 8, 32]`.
pub(super) fn outputs(
    m: &[f32],
    bias: Option<&[f32]>,
    geometry: &Conv3x3Geometry,
    block: &Block,
    chunk: usize,
    to: Output,
) {
    let first = chunk * ROWS;
    for (half, runs) in block.iter().enumerate().filter(|(_, runs)| !runs.is_empty()) {
        for row in 0..ROWS.min(geometry.outputs - first) {
            let bias = bias.map_or(0.0, |bias| bias[first + row]);
            output(&m[row * BLOCK + half * LANES..], bias, geometry, runs, first + row, to);
        }
    }
}

dispatch!(
    /// Writes sixteen tiles of one channel.
    fn output(
        m: &[f32],
        bias: f32,
        geometry: &Conv3x3Geometry,
        runs: &[Run],
        channel: usize,
        to: Output,
    ) = output_lanes
);

#[inline(always)]
fn output_lanes<V: Lanes>(m: &[f32], bias: f32, geometry: &Conv3x3Geometry, runs: &[Run], channel: usize, to: Output) {
    let bias = V::splat(bias);
    let mut rows = [[V::splat(0.0); PATCH]; TILE];
    for column in 0..PATCH {
        let mut products = [V::splat(0.0); PATCH];
        for (row, lanes) in products.iter_mut().enumerate() {
            *lanes = V::load(at(m, (row * PATCH + column) * PRODUCT_STRIDE));
        }
        for (row, lanes) in output_1d(products).into_iter().enumerate() {
            rows[row][column] = lanes;
        }
    }
    let [height, width] = geometry.output_size();
    for (dy, row) in rows.into_iter().enumerate() {
        let [p0, p1, p2, p3] = output_1d(row);
        let pixels = [p0.add(bias), p1.add(bias), p2.add(bias), p3.add(bias)];
        let mut line = [0.0; LINE];
        for (part, lanes) in V::interleave(pixels).into_iter().enumerate() {
            lanes.store(at_mut(&mut line, part * LANES));
        }
        for run in runs.iter().filter(|run| run.y + dy < height) {
            let at = ((run.item * geometry.outputs + channel) * height + run.y + dy) * width + run.x;
            let pixels = (run.tiles * TILE).min(width - run.x);
            // SAFETY: these are pixels of this run's tiles in this channel, and a task has its own tiles and channels.
            unsafe { to.write(at, &line[run.lane * TILE..][..pixels]) };
        }
    }
}

/// A^T m.
#[inline(always)]
fn output_1d<V: Lanes>([m0, m1, m2, m3, m4, m5]: [V; PATCH]) -> [V; TILE] {
    let (two, four, eight) = (V::splat(2.0), V::splat(4.0), V::splat(8.0));
    let (sum, difference) = (m1.add(m2), m1.sub(m2));
    let (sum2, difference2) = (m3.add(m4), m3.sub(m4));
    [
        m0.add(sum).add(sum2),
        difference2.mul_add(two, difference),
        sum2.mul_add(four, sum),
        difference2.mul_add(eight, difference.add(m5)),
    ]
}
