//! Sampling only near the surface: from coarse cells to fine ones, then along the surface.

use super::assemble::{Assembler, pattern};
use super::dense;
use super::lattice::Lattice;
use super::level::{Cell, Crossed, Level, corner_of};
use super::sampler::Sampler;
use super::samples::Samples;
use crate::shape::error::{Result, ShapeError};

/// How the surface is looked for.
///
/// Cells of a coarse lattice are kept where their corners differ, with `margin` rings of cells round them, or, if `steepness`
/// is known, wherever the values allow a surface. Kept cells are halved until they are cells of the lattice. From
/// those that the surface crosses it is followed through their faces, so that each part that was found is found
/// whole, exactly as [`Search::Dense`](super::Search::Dense) would. Parts smaller than a coarse cell, and farther than the margin
/// from any other, are missed unless `steepness` is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sparse {
    /// Cells of the lattice along a coarse cell; a power of two.
    pub step: usize,
    /// Rings of coarse cells around those that the surface crosses.
    pub margin: usize,
    /// A number that no difference quotient of the field exceeds, such as 1 for a distance. With it nothing is missed.
    pub steepness: Option<f64>,
}

impl Sparse {
    /// The coarsest cells of which a lattice has 64 along a side (1/32 in the cube `[-1, 1]^3`), one ring, unknown steepness.
    pub fn fitting(lattice: Lattice) -> Self {
        let most = ((lattice.side() - 1) / 64).max(1);
        Self { step: (most / 2 + 1).next_power_of_two(), margin: 1, steepness: None }
    }
}

pub(super) fn run(sparse: &Sparse, sampler: &mut Sampler<'_, '_>, assembler: &mut Assembler) -> Result<()> {
    // A lattice has at most 1025 samples along a side.
    let last = sampler.lattice.side() as u16 - 1;
    if !sparse.step.is_power_of_two() || sparse.step > 1 << 10 {
        let (what, expected) = ("the step of a sparse extraction", "a power of two up to 1024");
        return Err(ShapeError::Setting { what, expected, found: sparse.step.to_string() });
    }
    if let Some(steepness) = sparse.steepness.filter(|steepness| steepness.is_nan() || *steepness < 0.0) {
        let (what, expected) = ("the steepness of a field", "a number from 0");
        return Err(ShapeError::Setting { what, expected, found: steepness.to_string() });
    }
    if sparse.step == 1 {
        return dense::run(sampler, assembler);
    }
    // Between the two ends of an axis there is at least one coarse sample, since those on a sealed border tell nothing.
    let mut step = sparse.step as u16;
    while step > 1 && step >= last {
        step /= 2;
    }
    let mut level = Level::whole(step, last);
    let mut margin = sparse.margin;
    while level.step > 1 {
        let reach =
            sparse.steepness.map(|most| most * f64::from(level.step) * sampler.lattice.spacing() * 3_f64.sqrt());
        level = level.halved(std::mem::take(&mut margin), reach, sampler)?;
    }
    let (crossed, beyond) = level.crossed(sampler)?;
    let mut more = follow(&level, beyond, sampler)?.into_iter().peekable();
    for (cell, values) in crossed {
        while let Some((cell, values)) = more.next_if(|(other, _)| *other < cell) {
            assembler.cell(cell, values)?;
        }
        assembler.cell(cell, values)?;
    }
    more.try_for_each(|(cell, values)| assembler.cell(cell, values))
}

/// The crossed cells among `cells`, which the level does not hold, and all that hang together with them beyond it, in the order of the
/// lattice.
fn follow(level: &Level, mut cells: Vec<Cell>, sampler: &mut Sampler<'_, '_>) -> Result<Vec<Crossed>> {
    let mut found = Vec::new();
    if cells.is_empty() {
        return Ok(found);
    }
    let mut samples = Samples::new(usize::from(level.cells) + 1);
    cells.retain(|&cell| samples.mark(cell));
    while !cells.is_empty() {
        let corners = cells.iter().flat_map(|&cell| (0..8).map(move |corner| corner_of(cell, corner)));
        let wanted: Vec<Cell> = corners.filter(|&sample| samples.ask(sample)).collect();
        let values = sampler.values(wanted.iter().copied())?;
        wanted.iter().zip(values).for_each(|(&sample, value)| samples.set(sample, value));
        let mut next = Vec::new();
        for &cell in &cells {
            let values =
                std::array::from_fn(|corner| samples.get(corner_of(cell, corner)).unwrap_or(f32::NEG_INFINITY));
            let pattern = pattern(values);
            if pattern == 0 || pattern == u8::MAX {
                continue;
            }
            found.push((cell, values));
            next.extend(level.across(cell, pattern).filter(|&cell| !level.holds(cell) && samples.mark(cell)));
        }
        cells = next;
    }
    found.sort_unstable_by_key(|(cell, _)| *cell);
    Ok(found)
}
