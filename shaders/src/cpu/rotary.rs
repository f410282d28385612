//! CPU twin of `rotary.wgsl`, in place; its gradient is the turn backwards.

use rayon::prelude::*;

/// Positions that one task takes.
const ROWS: usize = 64;

/// Sizes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Positions of an item.
    pub length: usize,
    /// Channels of a position.
    pub width: usize,
    /// Pairs of a head.
    pub half: usize,
    /// Whether to turn by the negative angles.
    pub back: bool,
}

/// Turns `x [batch, length, width]` by angles of cosines and sines `[length, half]`.
pub fn rotary(x: &mut [f32], cos: &[f32], sin: &[f32], turn: Turn) {
    let Turn { length, width, half, back } = turn;
    let sign = if back { -1.0 } else { 1.0 };
    x.par_chunks_mut(ROWS * width).enumerate().for_each(|(part, rows)| {
        for (row, x) in rows.chunks_exact_mut(width).enumerate() {
            let at = (part * ROWS + row) % length * half;
            let (cos, sin) = (&cos[at..][..half], &sin[at..][..half]);
            for head in x.chunks_exact_mut(2 * half) {
                let (pairs, _) = head.as_chunks_mut::<2>();
                for (pair, (cos, sin)) in pairs.iter_mut().zip(cos.iter().zip(sin)) {
                    let [a, b] = *pair;
                    let sin = sign * sin;
                    *pair = [a * cos - b * sin, b * cos + a * sin];
                }
            }
        }
    });
}
