//! Entities: what is generated at once, and in which order.

use std::ops::Range;

use tessera_tokenizers::ConfigError;

/// How a grid of latents is cut into entities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityKind {
    /// Every latent by itself, row by row.
    Patch,
    /// Cells of `[rows, columns]` neighbouring latents, row by row.
    Cell([usize; 2]),
    /// Evenly spaced latents, so many to an entity in each direction.
    Subsample([usize; 2]),
    /// The whole grid at growing resolutions, the last its own; sides of each.
    Scale(Vec<[usize; 2]>),
    /// Everything at once: plain flow matching.
    Image,
}

/// The order of a sequence of entities.
///
/// Source: Ren et al. 2025 (arXiv 2502.20388), Algorithm 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Entities {
    grid: [usize; 2],
    /// The raster position that each place of the sequence is read from.
    raster: Vec<usize>,
    /// Row and column of each place, for rotary positions.
    places: Vec<[f64; 2]>,
    /// Places of each entity.
    ranges: Vec<Range<usize>>,
    is_scale: bool,
}

/// Most places of a sequence.
const MOST: usize = 1 << 18;

impl Entities {
    /// Entities of a `height x width` grid.
    ///
    /// # Errors
    /// [`ConfigError`] if the entities do not tile it.
    pub fn new(kind: &EntityKind, [height, width]: [usize; 2]) -> Result<Self, ConfigError> {
        let tokens = height.saturating_mul(width);
        if tokens == 0 || tokens > MOST {
            return Err(ConfigError::invalid("grid", format!("1 to {MOST} latents"), format!("{height} x {width}")));
        }
        let tiles = |key: &'static str, [rows, columns]: [usize; 2]| {
            let fits = rows > 0 && columns > 0 && height.is_multiple_of(rows) && width.is_multiple_of(columns);
            match fits {
                true => Ok(()),
                false => {
                    let expected = format!("sides that divide {height} x {width}");
                    Err(ConfigError::invalid(key, expected, format!("{rows} x {columns}")))
                }
            }
        };
        let (mut raster, mut ranges) = (Vec::with_capacity(tokens), Vec::new());
        let mut push = |positions: &mut dyn Iterator<Item = usize>| {
            let start = raster.len();
            raster.extend(positions);
            ranges.push(start..raster.len());
        };
        match kind {
            EntityKind::Patch => (0..tokens).for_each(|position| push(&mut std::iter::once(position))),
            EntityKind::Image => push(&mut (0..tokens)),
            EntityKind::Cell([rows, columns]) => {
                tiles("cell", [*rows, *columns])?;
                for top in (0..height).step_by(*rows) {
                    for left in (0..width).step_by(*columns) {
                        let inner = |down: usize| (0..*columns).map(move |right| (top + down) * width + left + right);
                        push(&mut (0..*rows).flat_map(inner));
                    }
                }
            }
            EntityKind::Subsample([rows, columns]) => {
                tiles("subsample_distance", [*rows, *columns])?;
                let (down, right) = (height / rows, width / columns);
                for first_row in 0..down {
                    for first_column in 0..right {
                        let line = |a: usize| {
                            (0..*columns).map(move |b| (a * down + first_row) * width + b * right + first_column)
                        };
                        push(&mut (0..*rows).flat_map(line));
                    }
                }
            }
            EntityKind::Scale(sides) => {
                let wrong = |expected: &str| Err(ConfigError::invalid("scales", expected, format!("{sides:?}")));
                if sides.last() != Some(&[height, width]) {
                    return wrong(&format!("sides that end with the grid's, {height} x {width}"));
                }
                let all: usize =
                    sides.iter().map(|[rows, columns]| rows.saturating_mul(*columns)).fold(0, usize::saturating_add);
                if sides.iter().flatten().any(|&side| side == 0) || all > MOST {
                    return wrong("sides from 1 on");
                }
                for &[rows, columns] in sides {
                    let source = |at: usize, all: usize, of: usize| at * all / of;
                    let line = |a: usize| {
                        (0..columns).map(move |b| source(a, height, rows) * width + source(b, width, columns))
                    };
                    push(&mut (0..rows).flat_map(line));
                }
            }
        }
        let places = match kind {
            // The paper gives no rule: the middle of what a place stands for.
            EntityKind::Scale(sides) => {
                let middle = |at: usize, all: usize, of: usize| (at as f64 + 0.5) * all as f64 / of as f64 - 0.5;
                let of_scale = |&[rows, columns]: &[usize; 2]| {
                    (0..rows * columns)
                        .map(move |at| [middle(at / columns, height, rows), middle(at % columns, width, columns)])
                };
                sides.iter().flat_map(of_scale).collect()
            }
            _ => raster.iter().map(|at| [(at / width) as f64, (at % width) as f64]).collect(),
        };
        Ok(Self { grid: [height, width], raster, places, ranges, is_scale: matches!(kind, EntityKind::Scale(_)) })
    }

    /// Entities of tokens that stand in scales already, `counts` of each, one scale after the other: every token
    /// ([`EntityKind::Patch`]), every scale ([`EntityKind::Scale`], whatever its sides), or all at once ([`EntityKind::Image`]). They count
    /// as a grid of one row. The rotary place of a token is its scale and the middle of what it stands for in the last scale.
    ///
    /// # Errors
    /// [`ConfigError`] for other kinds, and for a scale without a token.
    pub fn of_scales(kind: &EntityKind, counts: &[usize]) -> Result<Self, ConfigError> {
        let tokens = counts.iter().fold(0, |all: usize, &count| all.saturating_add(count));
        if tokens > MOST || counts.is_empty() || counts.contains(&0) {
            let expected = format!("scales of at least one token each and {MOST} in all");
            return Err(ConfigError::invalid("token_scales", expected, format!("{counts:?}")));
        }
        let ranges = match kind {
            EntityKind::Patch => (0..tokens).map(|at| at..at + 1).collect(),
            EntityKind::Image => std::iter::once(0..tokens).collect(),
            EntityKind::Scale(_) => {
                let ends = counts.iter().scan(0, |end, count| {
                    *end += count;
                    Some(*end - count..*end)
                });
                ends.collect()
            }
            EntityKind::Cell(_) | EntityKind::Subsample(_) => {
                let expected = "patch, scale or image: tokens of several scales form no cells and no subsamples";
                return Err(ConfigError::invalid("entity", expected, format!("{kind:?}")));
            }
        };
        let last = counts.last().copied().unwrap_or(1) as f64;
        let of_scale = |(scale, &count): (usize, &usize)| {
            (0..count).map(move |at| [scale as f64, (at as f64 + 0.5) * last / count as f64 - 0.5])
        };
        let places = counts.iter().enumerate().flat_map(of_scale).collect();
        Ok(Self { grid: [1, tokens], raster: (0..tokens).collect(), places, ranges, is_scale: false })
    }

    /// Rows and columns.
    pub fn grid(&self) -> [usize; 2] {
        self.grid
    }

    /// Places of a sequence.
    pub fn len(&self) -> usize {
        self.raster.len()
    }

    /// Whether there is no place; never so.
    pub fn is_empty(&self) -> bool {
        self.raster.is_empty()
    }

    /// The raster position that each place is read from.
    pub fn raster(&self) -> &[usize] {
        &self.raster
    }

    /// Row and column of each place.
    pub fn places(&self) -> &[[f64; 2]] {
        &self.places
    }

    /// Places of each entity.
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// The size that all entities share, if they do.
    pub fn common_size(&self) -> Option<usize> {
        let first = self.ranges.first()?.len();
        self.ranges.iter().all(|range| range.len() == first).then_some(first)
    }

    /// The entity of each place.
    pub fn entity_of(&self) -> Vec<usize> {
        self.ranges.iter().enumerate().flat_map(|(entity, range)| std::iter::repeat_n(entity, range.len())).collect()
    }

    /// The place of the sequence that each raster position is read back from: where scales repeat it, the finest.
    pub fn back(&self) -> Vec<usize> {
        let [height, width] = self.grid;
        let mut places = vec![0; height * width];
        for (place, &position) in self.raster.iter().enumerate() {
            if let Some(slot) = places.get_mut(position) {
                *slot = place;
            }
        }
        places
    }

    /// For each position of the grid the nearest place of one scale, counted from the scale's first.
    pub fn enlarged(&self, scale: &Range<usize>) -> Vec<usize> {
        let [height, width] = self.grid;
        let places = self.places.get(scale.clone()).unwrap_or_default();
        let distance = |at: usize, place: &[f64; 2]| {
            let [row, column] = *place;
            ((at / width) as f64 - row).powi(2) + ((at % width) as f64 - column).powi(2)
        };
        let nearest = |at: usize| {
            let places = places.iter().enumerate();
            places.min_by(|(_, a), (_, b)| distance(at, a).total_cmp(&distance(at, b))).map_or(0, |(place, _)| place)
        };
        (0..height * width).map(nearest).collect()
    }

    /// Whether entities are the grid at growing resolutions.
    pub fn is_scale(&self) -> bool {
        self.is_scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_every_position_back() {
        for (kind, entities) in [
            (EntityKind::Patch, 24),
            (EntityKind::Cell([2, 3]), 4),
            (EntityKind::Subsample([2, 2]), 6),
            (EntityKind::Scale(vec![[1, 1], [2, 3], [4, 6]]), 3),
            (EntityKind::Image, 1),
        ] {
            let order = Entities::new(&kind, [4, 6]).unwrap();
            assert_eq!(order.ranges().len(), entities, "{kind:?}");
            let back: Vec<usize> = order.back().iter().map(|&place| order.raster()[place]).collect();
            assert_eq!(back, (0..24).collect::<Vec<_>>(), "{kind:?}");
        }
        assert!(Entities::new(&EntityKind::Cell([3, 3]), [4, 6]).is_err());
        assert!(Entities::new(&EntityKind::Scale(vec![[2, 2]]), [4, 6]).is_err());
    }

    #[test]
    fn scales_of_tokens_are_entities() {
        let scale = EntityKind::Scale(Vec::new());
        let order = Entities::of_scales(&scale, &[1, 2, 4]).unwrap();
        assert_eq!((order.ranges(), order.common_size()), (&[0..1, 1..3, 3..7][..], None));
        assert_eq!(order.back(), (0..7).collect::<Vec<_>>());
        assert_eq!((order.places()[0], order.places()[2], order.places()[6]), ([0.0, 1.5], [1.0, 2.5], [2.0, 3.0]));
        assert_eq!(Entities::of_scales(&EntityKind::Patch, &[1, 2]).unwrap().ranges().len(), 3);
        assert_eq!(Entities::of_scales(&EntityKind::Image, &[1, 2]).unwrap().ranges().len(), 1);
        assert!(Entities::of_scales(&EntityKind::Cell([1, 1]), &[1, 2]).is_err());
        assert!(Entities::of_scales(&scale, &[1, 0]).is_err() && Entities::of_scales(&scale, &[]).is_err());
    }
}
