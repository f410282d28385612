//! Sampling only near the surface: from coarse cells to fine ones, then along the surface.

use super::assemble::{Assembler, pattern};
use super::cell::crosses;
use super::dense;
use super::lattice::Lattice;
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

/// Cells of `step` cells of the lattice along a side; the last ones may be cut off.
struct Level {
    step: u16,
    /// Along an axis.
    cells: u16,
    /// The last sample of the lattice.
    last: u16,
    samples: Samples,
}

type Cell = [u16; 3];

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
    let mut level = Level::new(step, last);
    let along = level.cells;
    let mut cells: Vec<Cell> =
        (0..along).flat_map(|x| (0..along).flat_map(move |y| (0..along).map(move |z| [x, y, z]))).collect();
    let mut margin = sparse.margin;
    while level.step > 1 {
        level.sample(&cells, sampler)?;
        let reach =
            sparse.steepness.map(|most| most * f64::from(level.step) * sampler.lattice.spacing() * 3_f64.sqrt());
        cells.retain(|&cell| level.may_cross(cell, reach));
        for _ in 0..std::mem::take(&mut margin) {
            cells = level.widened(&cells);
        }
        cells = level.halves(&cells);
        level = Level::new(level.step / 2, last);
    }
    let found = follow(&mut level, cells, sampler)?;
    found.into_iter().try_for_each(|cell| assembler.cell(cell, level.corners(cell)))
}

/// The crossed cells among `cells` and all that hang together with them, in the order of the lattice.
fn follow(level: &mut Level, mut cells: Vec<Cell>, sampler: &mut Sampler<'_, '_>) -> Result<Vec<Cell>> {
    let mut found = Vec::new();
    cells.retain(|&cell| level.samples.mark(cell));
    while !cells.is_empty() {
        level.sample(&cells, sampler)?;
        let mut next = Vec::new();
        for &cell in &cells {
            let pattern = pattern(level.corners(cell));
            if pattern == 0 || pattern == u8::MAX {
                continue;
            }
            found.push(cell);
            for face in (0..6).filter(|&face| crosses(pattern, face)) {
                next.extend(level.neighbour(cell, face).filter(|&neighbour| level.samples.mark(neighbour)));
            }
        }
        cells = next;
    }
    found.sort_unstable();
    Ok(found)
}

impl Level {
    fn new(step: u16, last: u16) -> Self {
        let cells = last.div_ceil(step);
        Self { step, cells, last, samples: Samples::new(usize::from(cells) + 1) }
    }

    /// Makes the values at all corners of the cells known.
    fn sample(&mut self, cells: &[Cell], sampler: &mut Sampler<'_, '_>) -> Result<()> {
        let mut wanted = Vec::new();
        for &cell in cells {
            wanted.extend((0..8).map(|corner| corner_of(cell, corner)).filter(|&sample| self.samples.ask(sample)));
        }
        let (step, last) = (self.step, self.last);
        // The last cells of a level end at the lattice's border.
        let on_lattice = |index: u16| u32::from(index) * u32::from(step);
        let places = wanted.iter().map(|sample: &Cell| sample.map(|index| on_lattice(index).min(last.into()) as u16));
        let values = sampler.values(places)?;
        wanted.iter().zip(values).for_each(|(&sample, value)| self.samples.set(sample, value));
        Ok(())
    }

    /// Values at the corners of a cell that was sampled.
    fn corners(&self, cell: Cell) -> [f32; 8] {
        std::array::from_fn(|corner| self.samples.get(corner_of(cell, corner)).unwrap_or(f32::NEG_INFINITY))
    }

    /// Whether the surface crosses the cell, or could, where no value is farther from zero than `reach`.
    fn may_cross(&self, cell: Cell, reach: Option<f64>) -> bool {
        let corners = self.corners(cell);
        let pattern = pattern(corners);
        let is_near = |reach: f64| corners.iter().all(|&value| f64::from(value).abs() <= reach);
        (pattern != 0 && pattern != u8::MAX) || reach.is_some_and(is_near)
    }

    /// The cells and those that touch them, sorted.
    fn widened(&self, cells: &[Cell]) -> Vec<Cell> {
        let around = |index: u16| index.saturating_sub(1)..(index + 2).min(self.cells);
        let mut wide: Vec<Cell> = cells
            .iter()
            .flat_map(|&[x, y, z]| {
                around(x).flat_map(move |x| around(y).flat_map(move |y| around(z).map(move |z| [x, y, z])))
            })
            .collect();
        wide.sort_unstable();
        wide.dedup();
        wide
    }

    /// The cells of half the step within the cells.
    fn halves(&self, cells: &[Cell]) -> Vec<Cell> {
        let along = self.last.div_ceil(self.step / 2);
        let half = |index: u16| 2 * index..(2 * index + 2).min(along);
        let parts = cells.iter().flat_map(|&[x, y, z]| {
            half(x).flat_map(move |x| half(y).flat_map(move |y| half(z).map(move |z| [x, y, z])))
        });
        parts.collect()
    }

    /// The cell on the other side of a face, as x low, x high, y low and so on.
    fn neighbour(&self, mut cell: Cell, face: usize) -> Option<Cell> {
        let index = cell.get_mut(face / 2)?;
        *index = if face.is_multiple_of(2) { index.checked_sub(1)? } else { *index + 1 };
        (*index < self.cells).then_some(cell)
    }
}

/// The sample at a corner of a cell.
fn corner_of(cell: Cell, corner: usize) -> Cell {
    let [x, y, z] = cell;
    [x + (corner & 1) as u16, y + (corner >> 1 & 1) as u16, z + (corner >> 2 & 1) as u16]
}
