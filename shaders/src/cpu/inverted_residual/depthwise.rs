//! Depthwise convolution of one plane, and its gradient, as sums of shifted copies.
//!
//! A plane is laid out with its zero border, one plane for each remainder of row and column by the stride. Then every
//! weight of the kernel belongs to one distance in memory, whatever the stride and however narrow the picture.

use std::ops::Range;

use crate::cpu::simd::{LANES, Lanes, dispatch};

/// Vectors of a step of [`correlate`].
const VECTORS: usize = 4;
/// Room behind a buffer, for whole steps at its end.
const SLACK: usize = VECTORS * LANES;

/// One side of a plane: "same" padding, as TensorFlow has it (at the end where it does not divide).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Side {
    /// Pixels of the input.
    pub input: usize,
    /// Pixels of the output.
    pub output: usize,
    /// Zeros before the first input.
    pub before: usize,
    /// Zeros behind the last input.
    pub after: usize,
}

impl Side {
    /// `ceil(input / stride)` outputs; `kernel` is at least `stride`.
    pub fn same(input: usize, kernel: usize, stride: usize) -> Self {
        let output = input.div_ceil(stride);
        let padding = (output.saturating_sub(1) * stride + kernel).saturating_sub(input);
        Self { input, output, before: padding / 2, after: padding - padding / 2 }
    }
}

/// A weight and how far from the output it reads.
type Tap = (usize, f32);

/// A buffer of planes, one for each remainder of row and column by the stride.
#[derive(Debug, Clone, Copy)]
struct Planes {
    rows: usize,
    columns: usize,
}

impl Planes {
    fn len(self) -> usize {
        self.rows * self.columns
    }
}

/// Sizes of one depthwise convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depthwise {
    pub sides: [Side; 2],
    kernel: usize,
    stride: usize,
    /// Rows, and columns, that a kernel reaches beyond its first, counted within one plane of [`Planes`].
    reach: usize,
    /// First of the strided rows and columns that hold an input.
    first: [usize; 2],
    padded: Planes,
    spread: Planes,
}

/// What one depthwise convolution works in.
#[derive(Default)]
pub(super) struct Room {
    planes: Vec<f32>,
    wide: Vec<f32>,
    taps: Vec<Tap>,
}

impl Depthwise {
    pub fn new(size: [usize; 2], kernel: usize, stride: usize) -> Self {
        let sides = size.map(|input| Side::same(input, kernel, stride));
        let reach = (kernel - 1) / stride;
        let first = sides.map(|side| side.before / stride);
        let held = |axis: usize| {
            let Side { before, input, .. } = sides[axis];
            (before + input - 1) / stride - first[axis] + 1
        };
        let padded = Planes { rows: sides[0].output + reach, columns: sides[1].output + reach };
        let spread = Planes { rows: held(0) + reach, columns: held(1) + reach };
        Self { sides, kernel, stride, reach, first, padded, spread }
    }

    /// Pixels of an input plane.
    pub fn input_len(&self) -> usize {
        self.sides[0].input * self.sides[1].input
    }

    /// Pixels of an output plane.
    pub fn output_len(&self) -> usize {
        self.sides[0].output * self.sides[1].output
    }

    /// Room for [`Depthwise::forward`].
    pub fn forward_room(&self) -> Room {
        let planes = vec![0.0; self.stride * self.stride * self.padded.len() + SLACK];
        Room { planes, wide: vec![0.0; self.sides[0].output * self.padded.columns + SLACK], taps: Vec::new() }
    }

    /// Room for [`Depthwise::backward`].
    pub fn backward_room(&self) -> Room {
        let rows = self.spread.rows - self.reach;
        let planes = vec![0.0; self.spread.len() + SLACK];
        Room { planes, wide: vec![0.0; rows * self.spread.columns + SLACK], taps: Vec::new() }
    }

    /// `plane [h, w]` to `out [oh, ow]`, `bias` added.
    pub fn forward(&self, plane: &[f32], weight: &[f32], bias: f32, room: &mut Room, out: &mut [f32]) {
        let (stride, columns) = (self.stride, self.padded.columns);
        let Side { input: width, before, .. } = self.sides[1];
        for (y, row) in plane.chunks_exact(width).enumerate() {
            let y = y + self.sides[0].before;
            for phase in 0..stride {
                let (skipped, place) = start(before, phase, stride);
                let at = (y % stride * stride + phase) * self.padded.len() + y / stride * columns + place;
                take_apart(row.get(skipped..).unwrap_or_default(), stride, &mut room.planes[at..]);
            }
        }
        room.taps.clear();
        for (at, &weight) in weight.iter().enumerate() {
            let (ky, kx) = (at / self.kernel, at % self.kernel);
            let plane = (ky % stride * stride + kx % stride) * self.padded.len();
            room.taps.push((plane + ky / stride * columns + kx / stride, weight));
        }
        let Side { output: width, .. } = self.sides[1];
        let used = 0..(self.sides[0].output - 1) * columns + width;
        correlate(&room.planes, &room.taps, bias, used, &mut room.wide);
        for (to, from) in out.chunks_exact_mut(width).zip(room.wide.chunks(columns)) {
            to.copy_from_slice(&from[..width]);
        }
    }

    /// The gradient `grad [oh, ow]` of an output as that of its input, `out [h, w]`.
    pub fn backward(&self, grad: &[f32], weight: &[f32], room: &mut Room, out: &mut [f32]) {
        let (stride, columns) = (self.stride, self.spread.columns);
        for (y, row) in grad.chunks_exact(self.sides[1].output).enumerate() {
            let at = (y + self.reach - self.first[0]) * columns + self.reach - self.first[1];
            room.planes[at..at + row.len()].copy_from_slice(row);
        }
        let held = [self.spread.rows - self.reach, columns - self.reach];
        let Side { input: width, before, .. } = self.sides[1];
        for (phase_y, phase_x) in (0..stride).flat_map(|y| (0..stride).map(move |x| (y, x))) {
            room.taps.clear();
            for ky in (phase_y..self.kernel).step_by(stride) {
                for kx in (phase_x..self.kernel).step_by(stride) {
                    let at = (self.reach - ky / stride) * columns + self.reach - kx / stride;
                    room.taps.push((at, weight[ky * self.kernel + kx]));
                }
            }
            let used = 0..(held[0] - 1) * columns + held[1];
            correlate(&room.planes, &room.taps, 0.0, used, &mut room.wide);
            let (skipped, place) = start(self.sides[0].before, phase_y, stride);
            let (skipped_x, place_x) = start(before, phase_x, stride);
            let rows = out.chunks_exact_mut(width).skip(skipped).step_by(stride);
            for (row, from) in rows.zip(room.wide.chunks(columns).skip(place - self.first[0])) {
                put_together(&from[place_x - self.first[1]..], stride, row.get_mut(skipped_x..).unwrap_or_default());
            }
        }
    }
}

/// The first input whose padded place leaves the remainder `phase`, and that place divided by the stride.
fn start(before: usize, phase: usize, stride: usize) -> (usize, usize) {
    let skipped = (stride + phase - before % stride) % stride;
    (skipped, (before + skipped) / stride)
}

/// Every `stride`-th value of `row`, side by side.
#[inline]
fn take_apart(row: &[f32], stride: usize, to: &mut [f32]) {
    match stride {
        1 => to[..row.len()].copy_from_slice(row),
        2 => {
            let (pairs, last) = row.as_chunks::<2>();
            to.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0]);
            last.iter().for_each(|&last| to[pairs.len()] = last);
        }
        _ => to.iter_mut().zip(row.iter().step_by(stride)).for_each(|(to, &value)| *to = value),
    }
}

/// Undoes [`take_apart`]: every `stride`-th value of `row` is set.
#[inline]
fn put_together(from: &[f32], stride: usize, row: &mut [f32]) {
    row.iter_mut().step_by(stride).zip(from).for_each(|(to, &value)| *to = value);
}

dispatch!(
    /// `to[i] = first + sum over taps of weight * from[i + distance]` for `i` in `used`, and up to a step beyond.
    fn correlate(from: &[f32], taps: &[Tap], first: f32, used: Range<usize>, to: &mut [f32]) = correlate_lanes
);

#[inline(always)]
fn correlate_lanes<V: Lanes>(from: &[f32], taps: &[Tap], first: f32, used: Range<usize>, to: &mut [f32]) {
    let mut at = used.start;
    while at + SLACK <= used.end {
        correlate_step::<V, VECTORS>(from, taps, first, at, to);
        at += SLACK;
    }
    while at < used.end {
        correlate_step::<V, 1>(from, taps, first, at, to);
        at += LANES;
    }
}

#[inline(always)]
fn correlate_step<V: Lanes, const N: usize>(from: &[f32], taps: &[Tap], first: f32, at: usize, to: &mut [f32]) {
    let mut sums = [V::splat(first); N];
    for &(distance, weight) in taps {
        let (lanes, _) = from[at + distance..][..N * LANES].as_chunks::<LANES>();
        let weight = V::splat(weight);
        for (sum, lanes) in sums.iter_mut().zip(lanes) {
            *sum = weight.mul_add(V::load(lanes), *sum);
        }
    }
    let (lanes, _) = to[at..][..N * LANES].as_chunks_mut::<LANES>();
    for (lanes, sum) in lanes.iter_mut().zip(sums) {
        sum.store(lanes);
    }
}
