//! 3x3 convolution on the CPU, stride 1 and zero padding 1: Winograd's F(4x4, 3x3).
//!
//! A tile of 4x4 output pixels needs 6x6 inputs. Once transformed (`transform`), each of the 36 positions of a
//! tile is a matrix product over the channels: 36 multiplications where the plain sum takes 144.
//! Thirty-two tiles form a block; what belongs to a block stays in the second-level cache, and no tensor of the
//! picture's size is made but the result.
//!
//! Source: Lavin and Gray 2015, "Fast Algorithms for Convolutional Neural Networks", section 4.

mod geometry;
mod transform;

use rayon::prelude::*;

use crate::cpu::output::Output;
use crate::cpu::product::{Left, ROWS, product};
use crate::cpu::scratch::{at_least, with_buffers};
use geometry::BLOCK;
pub use geometry::Conv3x3Geometry;
use transform::{POSITIONS, PRODUCT_STRIDE, kernel_stride, patch_stride};

/// `x [b, inputs, h, w] * weight [outputs, inputs, 3, 3] + bias -> [b, outputs, H, W]`, where `H x W` is `h x w` or,
/// with `geometry.doubled`, twice that.
pub fn conv3x3(x: &[f32], weight: &[f32], bias: Option<&[f32]>, geometry: &Conv3x3Geometry) -> Vec<f32> {
    let count = geometry.output_len();
    let mut y = Vec::with_capacity(count);
    let to = Output::new(&mut y.spare_capacity_mut()[..count]);
    if count > 0 && geometry.inputs > 0 {
        if geometry.tiles() < geometry.outputs {
            few_tiles(x, weight, bias, geometry, to);
        } else {
            many_tiles(x, weight, bias, geometry, to);
        }
    } else {
        y.resize(count, 0.0);
    }
    // SAFETY: each pixel of each output channel lies in one tile, each tile in one block and each channel in one
    // chunk; `transform::outputs` ran for every pair of block and chunk and wrote the pixels of its tiles.
    unsafe { y.set_len(count) };
    y
}

/// A task has a block of tiles and meets all kernels, which were transformed before.
fn many_tiles(x: &[f32], weight: &[f32], bias: Option<&[f32]>, geometry: &Conv3x3Geometry, to: Output) {
    let inputs = geometry.inputs;
    let chunk_len = POSITIONS * kernel_stride(inputs);
    let mut u = vec![0.0; geometry.outputs.div_ceil(ROWS) * chunk_len];
    u.par_chunks_mut(chunk_len)
        .zip(weight.par_chunks(ROWS * inputs * 9))
        .for_each(|(u, weight)| transform::weights(weight, inputs, u));
    geometry.blocks().par_iter().for_each(|block| {
        with_buffers(|[v, m]| {
            let v = at_least(v, POSITIONS * patch_stride(inputs));
            let m = at_least(m, POSITIONS * PRODUCT_STRIDE);
            transform::inputs(x, geometry, block, v);
            for (chunk, u) in u.chunks_exact(chunk_len).enumerate() {
                products(u, v, m, inputs, geometry::used(block));
                transform::outputs(m, bias, geometry, block, chunk, to);
            }
        });
    });
}

/// A task has a chunk of kernels and meets all tiles, which were transformed before.
fn few_tiles(x: &[f32], weight: &[f32], bias: Option<&[f32]>, geometry: &Conv3x3Geometry, to: Output) {
    let inputs = geometry.inputs;
    let blocks = geometry.blocks();
    let block_len = POSITIONS * patch_stride(inputs);
    let mut v = vec![0.0; blocks.len() * block_len];
    v.par_chunks_mut(block_len).zip(&blocks).for_each(|(v, block)| transform::inputs(x, geometry, block, v));
    weight.par_chunks(ROWS * inputs * 9).enumerate().for_each(|(chunk, weight)| {
        with_buffers(|[u, m]| {
            let u = at_least(u, POSITIONS * kernel_stride(inputs));
            let m = at_least(m, POSITIONS * PRODUCT_STRIDE);
            transform::weights(weight, inputs, u);
            for (block, v) in blocks.iter().zip(v.chunks_exact(block_len)) {
                products(u, v, m, inputs, geometry::used(block));
                transform::outputs(m, bias, geometry, block, chunk, to);
            }
        });
    });
}

/// `u [36, inputs, 8] * v [36, inputs, 32] -> m [36, 8, 32]`, one product a position.
fn products(u: &[f32], v: &[f32], m: &mut [f32], inputs: usize, used: usize) {
    let kernels = u.chunks_exact(kernel_stride(inputs));
    let patches = v.chunks_exact(patch_stride(inputs));
    for ((u, v), m) in kernels.zip(patches).zip(m.chunks_exact_mut(PRODUCT_STRIDE)) {
        let (m, _) = m.as_chunks_mut::<BLOCK>();
        let tile = m.first_chunk_mut().expect("eight rows");
        product(Left::packed(u), (v, BLOCK), inputs, used, tile);
    }
}
