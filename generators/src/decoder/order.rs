//! In which order positions are decoded, and what predicts each of them.

use std::ops::Range;

use tessera_shaders::{AttentionMask, ScaleEnds};

use super::Arrangement;

/// The order of a sequence: condition positions, then tokens in the order in which they are decoded. Cheap to look at, made
/// once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Condition positions.
    first: usize,
    /// Position in the layout of each token, by place in the order.
    positions: Vec<usize>,
    /// Places that are decoded together.
    steps: Vec<Range<usize>>,
    /// What predicts the token at each place.
    sources: Vec<Sources>,
    mask: AttentionMask,
}

/// Places in the whole sequence whose heads predict a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sources {
    /// The one whose first head does: the token before, or to the left.
    pub right: Option<usize>,
    /// The one whose second head does: the token above.
    pub below: Option<usize>,
}

impl Order {
    /// One token after the other, each predicted by the one before (LlamaGen).
    pub fn line(first: usize, tokens: usize) -> Self {
        Self {
            first,
            positions: (0..tokens).collect(),
            steps: (0..tokens).map(|at| at..at + 1).collect(),
            sources: (0..tokens).map(|at| Sources { right: Some(first + at - 1), below: None }).collect(),
            mask: AttentionMask::Causal,
        }
    }

    /// One anti-diagonal of a grid after the other, from the upper left corner; inside one by ascending row. A token is
    /// predicted by its left and its upper neighbour, the first by both heads of the last condition position (NAR, arXiv
    /// 2503.10696). A line is a grid of one row; for scales see [`Order::scales`].
    pub fn neighbours(first: usize, arrangement: &Arrangement) -> Self {
        let [height, width] = match arrangement {
            Arrangement::Ordered(len) => [1, *len],
            Arrangement::Grid(sides) => *sides,
            Arrangement::Scales(counts) => return Self::scales(first, counts),
        };
        let (mut positions, mut steps) = (Vec::with_capacity(height * width), Vec::new());
        for distance in 0..(height + width).saturating_sub(1) {
            let start = positions.len();
            let rows = (distance + 1).saturating_sub(width)..height.min(distance + 1);
            positions.extend(rows.map(|row| row * width + distance - row));
            steps.push(start..positions.len());
        }
        let mut place_of = vec![0; positions.len()];
        for (place, &position) in positions.iter().enumerate() {
            if let Some(slot) = place_of.get_mut(position) {
                *slot = first + place;
            }
        }
        let place = |position: usize| place_of.get(position).copied();
        let sources = positions.iter().map(|&position| {
            let (row, column) = (position / width.max(1), position % width.max(1));
            match (row, column) {
                (0, 0) => Sources { right: Some(first - 1), below: Some(first - 1) },
                _ => Sources {
                    right: if column > 0 { place(position - 1) } else { None },
                    below: if row > 0 { place(position - width) } else { None },
                },
            }
        });
        let sources = sources.collect();
        Self { first, positions, steps, sources, mask: AttentionMask::Neighbours { first, height, width } }
    }

    /// NAR over scales: position `p` of scale `s` is on diagonal `s + p`, and one diagonal is decoded after the other. A token is
    /// predicted by the one before it in its scale and by the one at its position of the coarser scale, where that is long enough: both
    /// are on the diagonal before. The first token is predicted by both heads of the last condition position. Scales never get shorter.
    ///
    /// So a sequence takes as many steps as the last scale has tokens and a few more, in place of all scales' tokens together.
    pub fn scales(first: usize, counts: &[usize]) -> Self {
        let starts: Vec<usize> = counts
            .iter()
            .scan(0, |end, count| {
                *end += count;
                Some(*end - count)
            })
            .collect();
        let tokens: usize = counts.iter().sum();
        let (mut at, mut steps) = (Vec::with_capacity(tokens), Vec::new()); // (scale, position)
        let mut diagonal = 0_usize;
        while at.len() < tokens {
            let start = at.len();
            let scales = counts.iter().enumerate().filter_map(|(scale, &count)| {
                let position = diagonal.checked_sub(scale).filter(|&position| position < count)?;
                Some((scale, position))
            });
            at.extend(scales);
            steps.push(start..at.len());
            diagonal += 1;
        }
        let position = |&(scale, position): &(usize, usize)| starts.get(scale).copied().unwrap_or(0) + position;
        let positions: Vec<usize> = at.iter().map(position).collect();
        let mut place_of = vec![first; tokens];
        for (place, &position) in positions.iter().enumerate() {
            if let Some(slot) = place_of.get_mut(position) {
                *slot = first + place;
            }
        }
        let place = |scale: usize, at: usize| place_of.get(position(&(scale, at))).copied();
        let is_there = |scale: usize, at: usize| counts.get(scale).is_some_and(|&count| at < count);
        let sources = at.iter().map(|&(scale, position)| match (scale, position) {
            (0, 0) => Sources { right: Some(first - 1), below: Some(first - 1) },
            _ => Sources {
                right: position.checked_sub(1).and_then(|before| place(scale, before)),
                below: scale
                    .checked_sub(1)
                    .filter(|&above| is_there(above, position))
                    .and_then(|above| place(above, position)),
            },
        });
        let sources = sources.collect();
        // More scales than a mask holds are refused by the configuration's check.
        let mask = ScaleEnds::new(counts.iter().copied())
            .map_or(AttentionMask::Causal, |ends| AttentionMask::ScaleDiagonals { first, ends });
        Self { first, positions, steps, sources, mask }
    }

    /// Condition positions.
    pub fn first(&self) -> usize {
        self.first
    }

    /// Position in the layout of each token, by place in the order.
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// Places that are decoded together, step by step.
    pub fn steps(&self) -> &[Range<usize>] {
        &self.steps
    }

    /// What predicts the tokens at these places.
    pub fn sources(&self, places: Range<usize>) -> &[Sources] {
        self.sources.get(places).unwrap_or_default()
    }

    /// Which keys a position sees, both in places of the whole sequence.
    pub fn mask(&self) -> AttentionMask {
        self.mask
    }

    /// Whether places are positions.
    pub fn is_raster(&self) -> bool {
        self.positions.iter().enumerate().all(|(place, &position)| place == position)
    }

    /// Whether tokens are decoded one by one in the order of their positions, so that the first so many steps are a prefix.
    pub fn is_line(&self) -> bool {
        self.is_raster() && self.steps.len() == self.positions.len()
    }

    /// The place of each position of the layout.
    pub fn places(&self) -> Vec<usize> {
        let mut places = vec![0; self.positions.len()];
        for (place, &position) in self.positions.iter().enumerate() {
            if let Some(slot) = places.get_mut(position) {
                *slot = place;
            }
        }
        places
    }

    /// Tokens that are fed to a teacher-forced pass: all but the last where the last predicts nothing.
    pub fn taught(&self) -> usize {
        match self.mask {
            AttentionMask::Causal => self.positions.len().saturating_sub(1),
            _ => self.positions.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_a_grid_go_by_diagonals() {
        let order = Order::neighbours(2, &Arrangement::Grid([2, 3]));
        assert_eq!(order.positions(), [0, 1, 3, 2, 4, 5]);
        assert_eq!(order.steps(), [0..1, 1..3, 3..5, 5..6]);
        let sources = |place: usize| {
            let found = order.sources(place..place + 1)[0];
            (found.right, found.below)
        };
        assert_eq!(sources(0), (Some(1), Some(1)), "the last condition position");
        assert_eq!(sources(1), (Some(2), None), "right of the first");
        assert_eq!(sources(2), (None, Some(2)), "below the first");
        assert_eq!(sources(4), (Some(4), Some(3)), "between the tokens at 3 and at 1");
        assert_eq!(order.places(), [0, 1, 3, 2, 4, 5]);
    }

    #[test]
    fn a_line_of_neighbours_is_next_token() {
        let (a, b) = (Order::neighbours(1, &Arrangement::Ordered(4)), Order::line(1, 4));
        assert_eq!((a.positions(), a.steps()), (b.positions(), b.steps()));
        assert_eq!(a.sources(1..4), b.sources(1..4));
        assert!(a.is_raster() && b.taught() == 3);
    }

    #[test]
    fn scales_go_by_diagonals_of_scale_and_position() {
        let order = Order::neighbours(1, &Arrangement::Scales(vec![1, 2, 4]));
        // Positions 0 | 1 2 | 3 4 5 6.
        assert_eq!(order.positions(), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(order.steps(), [0..1, 1..2, 2..4, 4..5, 5..6, 6..7]);
        let order = Order::scales(2, &[2, 3, 3]);
        assert_eq!(order.positions(), [0, 1, 2, 3, 5, 4, 6, 7]);
        assert_eq!(order.steps(), [0..1, 1..3, 3..5, 5..7, 7..8]);
        let sources = |place: usize| {
            let found = order.sources(place..place + 1)[0];
            (found.right, found.below)
        };
        assert_eq!(sources(0), (Some(1), Some(1)), "the last condition position");
        assert_eq!(sources(1), (Some(2), None), "the second token of the first scale");
        assert_eq!(sources(2), (None, Some(2)), "the first of the second scale stands under the first");
        assert_eq!(sources(3), (Some(4), Some(3)), "the second of the second scale");
        assert_eq!(sources(5), (Some(5), None), "the third: the first scale is shorter");
        // Everything that predicts a token was decoded in the step before.
        for pair in order.steps().windows(2) {
            let [before, step] = pair else { panic!() };
            for found in order.sources(step.clone()) {
                let fits = |place: &usize| before.contains(&(place - 2));
                assert!([found.right, found.below].iter().flatten().all(fits), "{step:?} {found:?}");
                assert!(found.right.is_some() || found.below.is_some());
            }
        }
        // And the mask lets a position see just its own diagonal and what came before.
        let AttentionMask::ScaleDiagonals { .. } = order.mask() else { panic!("{:?}", order.mask()) };
        for step in order.steps() {
            for place in step.clone() {
                assert_eq!(order.mask().visible(2 + place, 10, 10), 2 + step.end);
            }
        }
    }
}
