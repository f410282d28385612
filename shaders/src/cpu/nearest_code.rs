//! CPU twin of `nearest_code.wgsl`.

use multiversion::multiversion;
use rayon::prelude::*;

/// Codes whose distances are computed side by side.
const LANES: usize = 16;
/// Latents that one task takes.
const ROWS: usize = 32;

/// Index of the nearest codebook row, `[n, dim] x [v, dim] -> [n]`; ties go to the lower index.
///
/// The codebook is laid out once as `[v / 16, dim, 16]`, so that one pass over a latent's channels
/// yields sixteen distances at a time; rows beyond `v` are infinitely far away.
pub fn nearest_code(latents: &[f32], codebook: &[f32], dim: usize) -> Vec<i32> {
    let blocks = interleave(codebook, dim);
    latents
        .par_chunks(ROWS * dim.max(1))
        .flat_map_iter(|rows| rows.chunks(dim.max(1)).map(|row| nearest(row, &blocks)).collect::<Vec<_>>())
        .collect()
}

fn interleave(codebook: &[f32], dim: usize) -> Vec<f32> {
    let dim = dim.max(1);
    let codes = codebook.len() / dim;
    let mut blocks = vec![f32::INFINITY; codes.div_ceil(LANES) * dim * LANES];
    for (code, row) in codebook.chunks_exact(dim).enumerate() {
        let block = &mut blocks[code / LANES * dim * LANES..];
        for (d, &value) in row.iter().enumerate() {
            block[d * LANES + code % LANES] = value;
        }
    }
    blocks
}

#[multiversion(targets("x86_64+avx512f+fma", "x86_64+avx2+fma"))]
fn nearest(row: &[f32], blocks: &[f32]) -> i32 {
    let mut nearest = [f32::MAX; LANES];
    let mut nearest_at = [0i32; LANES];
    for (block_index, block) in blocks.chunks_exact(row.len() * LANES).enumerate() {
        let mut distance = [0.0f32; LANES];
        for (&value, codes) in row.iter().zip(block.chunks_exact(LANES)) {
            for lane in 0..LANES {
                let difference = value - codes[lane];
                distance[lane] += difference * difference;
            }
        }
        let first = (block_index * LANES) as i32;
        for lane in 0..LANES {
            let closer = distance[lane] < nearest[lane];
            nearest[lane] = if closer { distance[lane] } else { nearest[lane] };
            nearest_at[lane] = if closer { first + lane as i32 } else { nearest_at[lane] };
        }
    }
    let mut best = (nearest[0], nearest_at[0]);
    for lane in 1..LANES {
        let candidate = (nearest[lane], nearest_at[lane]);
        if candidate.0 < best.0 || (candidate.0 == best.0 && candidate.1 < best.1) {
            best = candidate;
        }
    }
    best.1
}
