//! Self-attention on one packed projection `[batch, length, 3, heads, dim]`.

use super::backward::gradients;
use super::{AttentionGeometry, Place, Placed, attention};
use crate::AttentionMask;
use crate::cpu::output::Output;

/// Sizes of a packed projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedGeometry {
    /// Sequences.
    pub batch: usize,
    /// Positions of each.
    pub length: usize,
    /// Heads side by side.
    pub heads: usize,
    /// Channels of a head.
    pub dim: usize,
}

impl PackedGeometry {
    fn attention(&self) -> AttentionGeometry {
        let Self { batch, length, heads, dim } = *self;
        let scale = 1.0 / (dim as f32).sqrt();
        AttentionGeometry { batch, queries: length, keys: length, heads, dim, scale, mask: AttentionMask::Full }
    }

    /// Where queries, keys and values lie.
    fn places(&self) -> [Place; 3] {
        let width = self.heads * self.dim;
        let whole = Place::contiguous(self.length, 3 * width);
        [0, 1, 2].map(|part| Place { start: part * width, ..whole })
    }
}

/// `qkv [batch, length, 3, heads, dim] -> [batch, length, heads, dim]`, and the logarithms that
/// [`attention`] gives.
pub fn packed_attention(qkv: &[f32], geometry: &PackedGeometry) -> (Vec<f32>, Vec<f32>) {
    attention(geometry.places().map(|place| Placed { values: qkv, place }), None, &geometry.attention())
}

/// The gradient of `qkv` from that of the output, given the output and the logarithms.
pub fn packed_attention_backward(
    qkv: &[f32],
    y: &[f32],
    logarithms: &[f32],
    grad: &[f32],
    geometry: &PackedGeometry,
) -> Vec<f32> {
    let mut of_qkv = vec![0.0; qkv.len()];
    let to = Output::of(&mut of_qkv);
    let places = geometry.places();
    let inputs = places.map(|place| Placed { values: qkv, place });
    gradients(inputs, [y, logarithms, grad], &geometry.attention(), places.map(|place| (to, place)));
    of_qkv
}
