//! A lattice of coarse or fine cells, of which some are looked at, layer by layer.

use super::assemble::pattern;
use super::bits::{Bits, Place, place, y_and_z};
use super::cell::crossed_faces;
use super::sampler::Sampler;
use crate::shape::error::Result;

/// Lowest corner of a cell.
pub(super) type Cell = [u16; 3];

/// Cells of `step` cells of the lattice along a side; the last ones may be cut off.
pub(super) struct Level {
    pub step: u16,
    /// Along an axis.
    pub cells: u16,
    /// The last sample of the lattice.
    last: u16,
    /// The cells that are looked at, layer by layer along x; sorted once they were sampled.
    kept: Vec<Vec<Place>>,
}

/// Values of all corners of a level's cells, layer by layer.
struct Sampled {
    samples: Vec<Cell>,
    values: Vec<f32>,
    /// Where the samples of each layer end.
    ends: Vec<usize>,
}

/// The cells that are looked at in the layer of a cell, and in those before and behind it.
struct Around<'a>([&'a Bits; 3]);

impl Around<'_> {
    /// Whether `other`, which shares a face with `cell`, is looked at.
    fn has(&self, [x, ..]: Cell, [other, y, z]: Cell) -> bool {
        let layer = usize::from(other + 1 - x);
        self.0.get(layer).is_some_and(|bits| bits.get(place(y, z)))
    }
}

/// The cells on the other sides of these faces, a bit each, where there are `cells` along an axis.
fn across(cell: Cell, faces: u8, cells: u16) -> impl Iterator<Item = Cell> {
    (0..6).filter(move |face| faces >> face & 1 == 1).filter_map(move |face| {
        let mut cell = cell;
        let index = cell.get_mut(face / 2)?;
        *index = if face.is_multiple_of(2) { index.checked_sub(1)? } else { *index + 1 };
        (*index < cells).then_some(cell)
    })
}

/// A cell that the surface crosses, and the values at its corners.
pub(super) type Crossed = (Cell, [f32; 8]);

impl Level {
    /// All cells of `step` cells of the lattice.
    pub(super) fn whole(step: u16, last: u16) -> Self {
        let cells = last.div_ceil(step);
        let layer: Vec<Place> = (0..cells).flat_map(|y| (0..cells).map(move |z| place(y, z))).collect();
        Self { step, cells, last, kept: vec![layer; cells.into()] }
    }

    /// Whether a cell is looked at.
    pub(super) fn holds(&self, [x, y, z]: Cell) -> bool {
        self.kept.get(usize::from(x)).is_some_and(|layer| layer.binary_search(&place(y, z)).is_ok())
    }

    /// The cells of half the step within those of this level that the surface may cross, and `margin` rings round them. Cells whose
    /// corners are all of one sort are taken too, if none of these is farther from zero than `reach`.
    pub(super) fn halved(mut self, margin: usize, reach: Option<f64>, sampler: &mut Sampler<'_, '_>) -> Result<Self> {
        let mut crossed = vec![Vec::new(); self.cells.into()];
        let sampled = self.sample(sampler)?;
        self.walk(&sampled, reach.is_some(), &mut |[x, y, z], values, _| {
            let pattern = pattern(values);
            let is_near = |reach: f64| values.iter().all(|&value| f64::from(value).abs() <= reach);
            if (pattern != 0 && pattern != u8::MAX) || reach.is_some_and(is_near) {
                crossed[usize::from(x)].push(place(y, z));
            }
        });
        for _ in 0..margin {
            crossed = self.widened(&crossed);
        }
        let (step, last) = (self.step / 2, self.last);
        let cells = last.div_ceil(step);
        let mut kept = vec![Vec::new(); cells.into()];
        let half = |index: u16| 2 * index..(2 * index + 2).min(cells);
        for (x, layer) in (0_u16..).zip(crossed) {
            let parts: Vec<Place> = layer
                .into_iter()
                .map(y_and_z)
                .flat_map(|[y, z]| half(y).flat_map(move |y| half(z).map(move |z| place(y, z))))
                .collect();
            half(x).for_each(|x| kept[usize::from(x)].extend_from_slice(&parts));
        }
        Ok(Self { step, cells, last, kept })
    }

    /// The cells that the surface crosses, in the order of the lattice, and the cells beside them, not looked at, that it goes on in.
    pub(super) fn crossed(&mut self, sampler: &mut Sampler<'_, '_>) -> Result<(Vec<Crossed>, Vec<Cell>)> {
        // The surface crosses fewer cells than are looked at; room that is not used takes no memory.
        let kept = self.kept.iter().map(Vec::len).sum();
        let (mut crossed, mut beyond) = (Vec::with_capacity(kept), Vec::new());
        let sampled = self.sample(sampler)?;
        self.walk(&sampled, false, &mut |cell, values, kept| {
            crossed.push((cell, values));
            let faces = crossed_faces(pattern(values));
            beyond.extend(across(cell, faces, self.cells).filter(|&other| !kept.has(cell, other)));
        });
        Ok((crossed, beyond))
    }

    /// The cells on the other sides of the faces that the surface crosses.
    pub(super) fn across(&self, cell: Cell, pattern: u8) -> impl Iterator<Item = Cell> + use<> {
        across(cell, crossed_faces(pattern), self.cells)
    }

    /// Asks for the values at all corners of the cells, and sorts these.
    fn sample(&mut self, sampler: &mut Sampler<'_, '_>) -> Result<Sampled> {
        let side = usize::from(self.cells) + 1;
        let [mut below, mut above, mut wanted] = [(); 3].map(|()| Bits::new(side));
        let kept: usize = self.kept.iter().map(Vec::len).sum();
        let (mut samples, mut ends) = (Vec::with_capacity(2 * kept), Vec::with_capacity(side));
        for x in 0..side {
            match self.kept.get_mut(x) {
                Some(layer) => {
                    above.fill(layer);
                    layer.clear();
                    above.each(|cell| layer.push(cell));
                }
                None => above.fill(&[]),
            }
            wanted.corners(&below, &above);
            wanted.each(|sample| {
                let [y, z] = y_and_z(sample);
                samples.push([x as u16, y, z]);
            });
            ends.push(samples.len());
            std::mem::swap(&mut below, &mut above);
        }
        let (step, last) = (u32::from(self.step), self.last);
        // The last cells of a level end at the lattice's border.
        let on_lattice = |index: u16| (u32::from(index) * step).min(last.into()) as u16;
        let values = sampler.values(samples.iter().map(|sample: &Cell| sample.map(on_lattice)))?;
        Ok(Sampled { samples, values, ends })
    }

    /// Shows the cells that the surface crosses, or with `all` every cell, in the order of the lattice: with the values at its corners,
    /// and the cells around it that are looked at.
    fn walk(&self, sampled: &Sampled, all: bool, see: &mut dyn FnMut(Cell, [f32; 8], &Around<'_>)) {
        let side = usize::from(self.cells) + 1;
        let [mut before, mut here, mut after, mut shown] = [(); 4].map(|()| Bits::new(side));
        let mut inside = [(); 2].map(|()| Bits::new(side));
        let mut grids = [(); 2].map(|()| vec![0.0_f32; side * side]);
        let mut from = 0;
        let nothing = Vec::new();
        let kept = |x: usize| self.kept.get(x).unwrap_or(&nothing);
        after.fill(kept(0));
        for (x, &end) in sampled.ends.iter().enumerate() {
            // The layer of samples at x becomes the upper one.
            inside.swap(0, 1);
            grids.swap(0, 1);
            let ([_, inside_above], [_, grid]) = (&mut inside, &mut grids);
            inside_above.fill(&[]);
            let layer = sampled.samples[from..end].iter().zip(&sampled.values[from..end]);
            for (&[_, y, z], &value) in layer {
                grid[usize::from(y) * side + usize::from(z)] = value;
                if value >= 0.0 {
                    inside_above.set(place(y, z));
                }
            }
            from = end;
            if x == 0 {
                continue;
            }
            // The cells between the two.
            std::mem::swap(&mut before, &mut here);
            std::mem::swap(&mut here, &mut after);
            after.fill(kept(x));
            if kept(x - 1).is_empty() {
                continue;
            }
            match all {
                true => shown.fill(kept(x - 1)),
                false => {
                    shown.mixed(&inside[0], &inside[1]);
                    shown.and(&here);
                }
            }
            let around = Around([&before, &here, &after]);
            let [low, high] = &grids;
            shown.each(|cell| {
                let [y, z] = y_and_z(cell);
                let at = usize::from(y) * side + usize::from(z);
                let four = |grid: &[f32]| [grid[at], grid[at + side], grid[at + 1], grid[at + side + 1]];
                let ([a, b, c, d], [e, f, g, h]) = (four(low), four(high));
                see([(x - 1) as u16, y, z], [a, e, b, f, c, g, d, h], &around);
            });
        }
    }

    /// The cells and those that touch them.
    fn widened(&self, layers: &[Vec<Place>]) -> Vec<Vec<Place>> {
        let mut wide = Bits::new(usize::from(self.cells) + 1);
        let of_layer = |x: usize| {
            wide.fill(&[]);
            for layer in layers.iter().take(x + 2).skip(x.saturating_sub(1)) {
                wide.add_grown(layer, self.cells);
            }
            let mut places = Vec::new();
            wide.each(|place| places.push(place));
            places
        };
        (0..layers.len()).map(of_layer).collect()
    }
}

/// The sample at a corner of a cell.
pub(super) fn corner_of(cell: Cell, corner: usize) -> Cell {
    let [x, y, z] = cell;
    [x + (corner & 1) as u16, y + (corner >> 1 & 1) as u16, z + (corner >> 2 & 1) as u16]
}
