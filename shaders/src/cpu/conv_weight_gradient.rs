//! Gradient of a convolution's weight on the CPU: a matrix product whose depth is every pixel of every picture.
//!
//! A column of the product is a tap of the kernel and an input channel. Pictures are turned once so that a pixel's channels lie
//! side by side; a task then gathers 32 columns of 128 pixels, which stay in the first-level cache while all outputs meet them.

use rayon::prelude::*;

use super::product::{COLUMNS, Left, ROWS, product};
use super::scratch::{at_least, with_buffers};

/// Pixels that are gathered at a time.
const PIXELS: usize = 128;
/// Runs of pictures that are summed apart; fixed, so that the sums do not depend on the number of threads.
const PARTS: usize = 4;

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct WeightGradientGeometry {
    /// Pictures.
    pub batch: usize,
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Height and width of the input.
    pub size: [usize; 2],
    /// Height and width of the output.
    pub output_size: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Input pixels from one output pixel to the next.
    pub stride: usize,
    /// Rows and columns of zeros before the input; what is read behind its end is zero too.
    pub padding: usize,
    /// Whether the input is enlarged by two to the nearest pixel first.
    pub doubled: bool,
}

impl WeightGradientGeometry {
    /// The input's row (or column) under a tap of an output's, `None` in the padding.
    fn source(&self, axis: usize, output: usize, tap: usize) -> Option<usize> {
        let enlarged = (output * self.stride + tap).checked_sub(self.padding)?;
        let at = if self.doubled { enlarged / 2 } else { enlarged };
        (at < self.size[axis]).then_some(at)
    }

    fn pixels(&self) -> usize {
        self.output_size[0] * self.output_size[1]
    }

    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
}

/// Of `x [batch, inputs, h, w]` and the output's gradient `[batch, outputs, H, W]` that of the weight
/// `[outputs, inputs, kernel height, kernel width]`.
///
/// # Panics
/// If a slice is not as long as the geometry says.
pub fn conv_weight_gradient(x: &[f32], gradient: &[f32], geometry: &WeightGradientGeometry) -> Vec<f32> {
    let &WeightGradientGeometry { batch, inputs, outputs, size, .. } = geometry;
    let (area, pixels, taps) = (size[0] * size[1], geometry.pixels(), geometry.taps());
    assert!(x.len() == batch * inputs * area && gradient.len() == batch * outputs * pixels);
    let columns = taps * inputs;
    let mut sum = vec![0.0; outputs * columns];
    if x.is_empty() || gradient.is_empty() || sum.is_empty() {
        return sum;
    }
    let x = side_by_side(x, inputs, area);
    let eights = outputs.div_ceil(ROWS);
    let mut packed = vec![0.0; batch * eights * pixels * ROWS];
    packed.par_chunks_mut(eights * pixels * ROWS).zip(gradient.par_chunks(outputs * pixels)).for_each(|(to, from)| {
        for (to, from) in to.chunks_exact_mut(pixels * ROWS).zip(from.chunks(ROWS * pixels)) {
            turn(from, pixels, ROWS, to);
        }
    });
    let parts = PARTS.min(batch);
    let blocks = columns.div_ceil(COLUMNS);
    let tiles: Vec<Vec<f32>> = (0..parts * blocks)
        .into_par_iter()
        .map(|task| {
            let (part, block) = (task / blocks, task % blocks);
            let mut sums = vec![0.0; eights * ROWS * COLUMNS];
            for item in part * batch / parts..(part + 1) * batch / parts {
                let x = &x[item * area * inputs..][..area * inputs];
                let gradient = &packed[item * eights * pixels * ROWS..][..eights * pixels * ROWS];
                add_picture(x, gradient, geometry, block, &mut sums);
            }
            sums
        })
        .collect();
    for (task, tile) in tiles.iter().enumerate() {
        let first = task % blocks * COLUMNS;
        for (output, row) in tile.chunks_exact(COLUMNS).take(outputs).enumerate() {
            for (column, value) in (first..columns).zip(row) {
                let (tap, input) = (column / inputs, column % inputs);
                sum[(output * inputs + input) * taps + tap] += value;
            }
        }
    }
    sum
}

/// `[.., channels, area] -> [.., area, channels]`.
fn side_by_side(x: &[f32], channels: usize, area: usize) -> Vec<f32> {
    let mut turned = vec![0.0; x.len()];
    turned
        .par_chunks_mut(area * channels)
        .zip(x.par_chunks(channels * area))
        .for_each(|(to, from)| turn(from, area, channels, to));
    turned
}

/// Up to `width` rows of `area` values as `[area, width]`, a cache line of each row at a time.
fn turn(from: &[f32], area: usize, width: usize, to: &mut [f32]) {
    const LINE: usize = 16;
    for first in (0..area).step_by(LINE) {
        let range = first..area.min(first + LINE);
        for (channel, row) in from.chunks_exact(area).enumerate() {
            for (at, &value) in range.clone().zip(&row[range.clone()]) {
                to[at * width + channel] = value;
            }
        }
    }
}

/// Adds what one picture gives to the 32 columns of a block, for all outputs.
fn add_picture(x: &[f32], gradient: &[f32], geometry: &WeightGradientGeometry, block: usize, sums: &mut [f32]) {
    let pixels = geometry.pixels();
    let used = COLUMNS.min(geometry.taps() * geometry.inputs - block * COLUMNS);
    with_buffers(|[gathered]| {
        let gathered = at_least(gathered, PIXELS * COLUMNS);
        for first in (0..pixels).step_by(PIXELS) {
            let count = PIXELS.min(pixels - first);
            gather(x, geometry, block * COLUMNS..block * COLUMNS + used, first, &mut gathered[..count * COLUMNS]);
            let eights = gradient.chunks_exact(pixels * ROWS).zip(sums.chunks_exact_mut(ROWS * COLUMNS));
            for (gradient, sums) in eights {
                let mut tile = [[0.0; COLUMNS]; ROWS];
                let left = Left::packed(&gradient[first * ROWS..(first + count) * ROWS]);
                product(left, (gathered, COLUMNS), count, used, &mut tile);
                sums.iter_mut().zip(tile.as_flattened()).for_each(|(sum, value)| *sum += value);
            }
        }
    });
}

/// The columns `[pixel, 32]` of the output's pixels from `first` on, zeros in the padding and behind the last column.
fn gather(x: &[f32], geometry: &WeightGradientGeometry, columns: std::ops::Range<usize>, first: usize, to: &mut [f32]) {
    let &WeightGradientGeometry { inputs, size, output_size, kernel, .. } = geometry;
    let to = to.as_chunks_mut::<COLUMNS>().0;
    let mut column = columns.start;
    while column < columns.end {
        let (tap, input) = (column / inputs, column % inputs);
        let count = (inputs - input).min(columns.end - column);
        let at = column - columns.start;
        for (pixel, to) in (first..).zip(to.iter_mut()) {
            let row = geometry.source(0, pixel / output_size[1], tap / kernel[1]);
            let place = row.zip(geometry.source(1, pixel % output_size[1], tap % kernel[1]));
            let to = &mut to[at..at + count];
            match place {
                Some((y, column)) => to.copy_from_slice(&x[(y * size[1] + column) * inputs + input..][..count]),
                None => to.fill(0.0),
            }
        }
        column += count;
    }
    let used = columns.len();
    if used < COLUMNS {
        to.iter_mut().for_each(|to| to[used..].fill(0.0));
    }
}
