//! Sampling every place of the lattice, two layers in memory at a time.

use rayon::prelude::*;

use super::assemble::Assembler;
use super::sampler::Sampler;
use crate::shape::error::Result;

pub(super) fn run(sampler: &mut Sampler<'_, '_>, assembler: &mut Assembler) -> Result<()> {
    // At most 1025.
    let side = sampler.lattice.side() as u16;
    let layer = |x: u16| (0..side).flat_map(move |y| (0..side).map(move |z| [x, y, z]));
    let mut below = sampler.values(layer(0))?;
    for x in 1..side {
        let above = sampler.values(layer(x))?;
        for [y, z] in mixed(&below, &above, side.into()) {
            assembler.cell([x - 1, y, z], corners(&below, &above, side.into(), [y, z]))?;
        }
        below = above;
    }
    Ok(())
}

/// Cells between two layers that the surface crosses, as y and z of their lowest corner, in row-major order.
fn mixed(below: &[f32], above: &[f32], side: usize) -> Vec<[u16; 2]> {
    let rows = (0..side - 1).into_par_iter().flat_map_iter(|y| {
        let row = |layer: &'_ [f32], y: usize| -> Vec<bool> {
            layer[y * side..(y + 1) * side].iter().map(|&value| value >= 0.0).collect()
        };
        let rows = [row(below, y), row(below, y + 1), row(above, y), row(above, y + 1)];
        // In a column of four corners: none inside, some, all.
        let inside = move |z: usize| rows.iter().filter(|row| row[z]).count();
        (0..side - 1).filter_map(move |z| {
            let inside = inside(z) + inside(z + 1);
            (inside != 0 && inside != 8).then_some([y as u16, z as u16])
        })
    });
    rows.collect()
}

fn corners(below: &[f32], above: &[f32], side: usize, [y, z]: [u16; 2]) -> [f32; 8] {
    std::array::from_fn(|corner| {
        let layer = if corner & 1 == 0 { below } else { above };
        layer[(usize::from(y) + (corner >> 1 & 1)) * side + usize::from(z) + (corner >> 2 & 1)]
    })
}
