//! Inverted residual block on the CPU, forward and backward to its input.
//!
//! A task has one picture. The expanded channels, six times as many as the block's own, are made eight at a time and
//! never leave the cache; the backward pass makes them again rather than read them from memory.

mod depthwise;
mod pointwise;

use rayon::prelude::*;

use super::product::ROWS;
pub(crate) use depthwise::Side;
use depthwise::{Depthwise, Room};
use pointwise::{Blocks, CEILING, Finish, multiply, pack_weights};

/// Sizes of one inverted residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvertedResidualGeometry {
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the depthwise convolution: as many as `inputs` where nothing expands.
    pub expanded: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Side of the depthwise kernel, at least `stride`.
    pub kernel: usize,
    /// Stride of the depthwise convolution.
    pub stride: usize,
    /// Whether a 1x1 convolution comes first.
    pub expands: bool,
}

/// The parameters of a block, side by side in this order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<T> {
    /// `[expanded, inputs]` and `[expanded]`, or nothing.
    pub expand: [T; 2],
    /// `[expanded, kernel, kernel]` and `[expanded]`.
    pub depthwise: [T; 2],
    /// `[outputs, expanded]` and `[outputs]`.
    pub project: [T; 2],
}

impl InvertedResidualGeometry {
    /// Whether the input is added to the output: they have one shape.
    pub fn is_residual(&self) -> bool {
        self.stride == 1 && self.inputs == self.outputs
    }

    /// Height and width of the output for an input of `size`: rounded up.
    pub fn output_size(&self, size: [usize; 2]) -> [usize; 2] {
        size.map(|side| side.div_ceil(self.stride))
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.parts().project[1].end
    }

    /// Where each parameter lies.
    pub(crate) fn parts(&self) -> Parts<std::ops::Range<usize>> {
        let mut at = 0;
        let mut next = |len: usize| {
            at += len;
            at - len..at
        };
        let expand = if self.expands { [self.expanded * self.inputs, self.expanded] } else { [0, 0] };
        Parts {
            expand: expand.map(&mut next),
            depthwise: [self.expanded * self.kernel * self.kernel, self.expanded].map(&mut next),
            project: [self.outputs * self.expanded, self.outputs].map(&mut next),
        }
    }

    fn split<'a>(&self, parameters: &'a [f32]) -> Parts<&'a [f32]> {
        let parts = self.parts();
        let part = |range: std::ops::Range<usize>| &parameters[range];
        Parts { expand: parts.expand.map(part), depthwise: parts.depthwise.map(part), project: parts.project.map(part) }
    }
}

/// The eight expanded channels of a step, and the geometry they share.
struct Step<'a> {
    geometry: &'a InvertedResidualGeometry,
    depthwise: Depthwise,
    parts: Parts<&'a [f32]>,
    /// Of the expansion, packed.
    expand: Vec<f32>,
}

impl<'a> Step<'a> {
    fn new(geometry: &'a InvertedResidualGeometry, parameters: &'a [f32], size: [usize; 2]) -> Self {
        let parts = geometry.split(parameters);
        let expand = match geometry.expands {
            true => pack_weights(parts.expand[0], [geometry.expanded, geometry.inputs], [geometry.inputs, 1]),
            false => Vec::new(),
        };
        Self { geometry, depthwise: Depthwise::new(size, geometry.kernel, geometry.stride), parts, expand }
    }

    fn input(&self) -> Blocks {
        Blocks { channels: self.geometry.inputs, pixels: self.depthwise.input_len() }
    }

    /// Pixels of the depthwise convolution's output.
    fn middle(&self) -> Blocks {
        Blocks { channels: self.geometry.expanded, pixels: self.depthwise.output_len() }
    }

    /// First channels of the steps.
    fn channels(&self) -> impl Iterator<Item = usize> {
        (0..self.geometry.expanded).step_by(ROWS)
    }

    fn rows(&self, channel: usize) -> usize {
        ROWS.min(self.geometry.expanded - channel)
    }

    /// The expanded planes of a step, after ReLU6.
    fn expanded<'b>(&self, channel: usize, x: &'b [f32], blocks: &[f32], planes: &'b mut [f32]) -> &'b [f32] {
        let (rows, pixels) = (self.rows(channel), self.depthwise.input_len());
        if !self.geometry.expands {
            return &x[channel * pixels..][..rows * pixels];
        }
        let weight = &self.expand[channel * self.geometry.inputs..];
        let planes = &mut planes[..rows * pixels];
        multiply(weight, blocks, self.input(), &self.parts.expand[1][channel..][..rows], Finish::Relu6, planes);
        planes
    }

    /// One plane after the depthwise convolution, before ReLU6.
    fn convolved(&self, channel: usize, plane: &[f32], room: &mut Room, out: &mut [f32]) {
        self.depthwise.forward(plane, self.weight(channel), self.parts.depthwise[1][channel], room, out);
    }

    fn weight(&self, channel: usize) -> &[f32] {
        let area = self.geometry.kernel * self.geometry.kernel;
        &self.parts.depthwise[0][channel * area..][..area]
    }
}

/// `x [b, inputs, h, w] -> [b, outputs, h', w']`.
///
/// # Panics
/// If a slice ends early.
pub fn inverted_residual(
    x: &[f32],
    parameters: &[f32],
    geometry: &InvertedResidualGeometry,
    [batch, height, width]: [usize; 3],
) -> Vec<f32> {
    let step = Step::new(geometry, parameters, [height, width]);
    let (inside, middle) = (step.input(), step.middle());
    let project = pack_weights(step.parts.project[0], [geometry.outputs, geometry.expanded], [geometry.expanded, 1]);
    let (x_len, y_len) = (geometry.inputs * inside.pixels, geometry.outputs * middle.pixels);
    let mut y = vec![0.0; batch * y_len];
    let rooms = || Rooms::new(&step, step.depthwise.forward_room());
    y.par_chunks_exact_mut(y_len).zip(x.par_chunks_exact(x_len)).for_each_init(rooms, |rooms, (y, x)| {
        rooms.enter(geometry.expands, x, inside);
        for first in step.channels() {
            let planes = step.expanded(first, x, &rooms.input, &mut rooms.planes);
            for (row, plane) in planes.chunks_exact(inside.pixels).enumerate() {
                step.convolved(first + row, plane, &mut rooms.forward, &mut rooms.plane);
                rooms.plane.iter_mut().for_each(|value| *value = value.clamp(0.0, CEILING));
                middle.put(&rooms.plane, first + row, &mut rooms.middle);
            }
        }
        let finish = if geometry.is_residual() { Finish::Add } else { Finish::Set };
        if geometry.is_residual() {
            y.copy_from_slice(x);
        }
        let chunks = y.chunks_mut(ROWS * middle.pixels).zip(step.parts.project[1].chunks(ROWS));
        for ((planes, biases), weight) in chunks.zip(project.chunks_exact(ROWS * geometry.expanded)) {
            multiply(weight, &rooms.middle, middle, biases, finish, planes);
        }
    });
    y
}

/// The gradient of the input, from that of the output, `grad [b, outputs, h', w'] -> [b, inputs, h, w]`.
///
/// # Panics
/// If a slice ends early.
pub fn inverted_residual_backward(
    x: &[f32],
    parameters: &[f32],
    grad: &[f32],
    geometry: &InvertedResidualGeometry,
    [batch, height, width]: [usize; 3],
) -> Vec<f32> {
    let InvertedResidualGeometry { inputs, expanded, outputs, .. } = *geometry;
    let step = Step::new(geometry, parameters, [height, width]);
    let (inside, middle) = (step.input(), step.middle());
    let wide = Blocks { channels: expanded, pixels: inside.pixels };
    let given = Blocks { channels: outputs, pixels: middle.pixels };
    // Both turned over: gradients go from outputs to inputs.
    let project = pack_weights(step.parts.project[0], [expanded, outputs], [1, expanded]);
    let expand = match geometry.expands {
        true => pack_weights(step.parts.expand[0], [inputs, expanded], [1, inputs]),
        false => Vec::new(),
    };
    let (x_len, y_len) = (inputs * inside.pixels, outputs * middle.pixels);
    let mut result = vec![0.0; batch * x_len];
    let rooms = || {
        let more = GradientRooms {
            room: step.depthwise.backward_room(),
            given: vec![0.0; given.len()],
            planes: vec![0.0; ROWS * middle.pixels],
            plane: vec![0.0; inside.pixels],
            wide: vec![0.0; if geometry.expands { wide.len() } else { 0 }],
        };
        (Rooms::new(&step, step.depthwise.forward_room()), more)
    };
    let items = result.par_chunks_exact_mut(x_len).zip(x.par_chunks_exact(x_len)).zip(grad.par_chunks_exact(y_len));
    items.for_each_init(rooms, |(rooms, more), ((result, x), grad)| {
        rooms.enter(geometry.expands, x, inside);
        given.put_all(grad, &mut more.given);
        for first in step.channels() {
            let planes = step.expanded(first, x, &rooms.input, &mut rooms.planes);
            let count = step.rows(first) * middle.pixels;
            let weight = &project[first * outputs..];
            multiply(weight, &more.given, given, &[], Finish::Set, &mut more.planes[..count]);
            let grads = more.planes[..count].chunks_exact_mut(middle.pixels);
            for (row, (plane, grad)) in planes.chunks_exact(inside.pixels).zip(grads).enumerate() {
                step.convolved(first + row, plane, &mut rooms.forward, &mut rooms.plane);
                mask(grad, &rooms.plane);
                step.depthwise.backward(grad, step.weight(first + row), &mut more.room, &mut more.plane);
                if geometry.expands {
                    mask(&mut more.plane, plane);
                    wide.put(&more.plane, first + row, &mut more.wide);
                } else {
                    result[(first + row) * inside.pixels..][..inside.pixels].copy_from_slice(&more.plane);
                }
            }
        }
        if geometry.is_residual() {
            match geometry.expands {
                true => result.copy_from_slice(grad),
                false => result.iter_mut().zip(grad).for_each(|(sum, grad)| *sum += grad),
            }
        }
        if geometry.expands {
            let chunks = result.chunks_mut(ROWS * inside.pixels).zip(expand.chunks_exact(ROWS * expanded));
            for (planes, weight) in chunks {
                multiply(weight, &more.wide, wide, &[], Finish::Add, planes);
            }
        }
    });
    result
}

/// Lets a gradient pass where ReLU6 lets a change pass.
fn mask(grad: &mut [f32], value: &[f32]) {
    for (grad, &value) in grad.iter_mut().zip(value) {
        *grad = if value > 0.0 && value < CEILING { *grad } else { 0.0 };
    }
}

/// What a task works in.
struct Rooms {
    forward: Room,
    /// The picture in blocks.
    input: Vec<f32>,
    /// Eight expanded planes.
    planes: Vec<f32>,
    /// One plane after the depthwise convolution.
    plane: Vec<f32>,
    /// All of them in blocks.
    middle: Vec<f32>,
}

/// What the backward pass needs besides.
struct GradientRooms {
    room: Room,
    /// The gradient of the output in blocks.
    given: Vec<f32>,
    /// Gradients of eight planes after the depthwise convolution.
    planes: Vec<f32>,
    /// Gradient of one expanded plane.
    plane: Vec<f32>,
    /// All of them in blocks.
    wide: Vec<f32>,
}

impl Rooms {
    fn new(step: &Step, forward: Room) -> Self {
        let (input, middle) = (step.input(), step.middle());
        let expands = step.geometry.expands;
        Self {
            forward,
            input: vec![0.0; if expands { input.len() } else { 0 }],
            planes: vec![0.0; if expands { ROWS * input.pixels } else { 0 }],
            plane: vec![0.0; middle.pixels],
            middle: vec![0.0; middle.len()],
        }
    }

    fn enter(&mut self, expands: bool, x: &[f32], blocks: Blocks) {
        if expands {
            blocks.put_all(x, &mut self.input);
        }
    }
}
