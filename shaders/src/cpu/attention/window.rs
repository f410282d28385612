//! What a block of queries sees.

use std::ops::Range;

use super::geometry::AttentionGeometry;
use crate::cpu::product::COLUMNS;

/// The keys that up to 32 queries see. Every mask lets a query see the first so many keys; one that does not would
/// change what is here and nothing else.
pub(super) struct Window {
    visible: [usize; COLUMNS],
    /// Every query sees the keys before this one.
    all: usize,
    /// No query sees this key or one behind it.
    pub end: usize,
}

impl Window {
    pub fn of(geometry: &AttentionGeometry, queries: Range<usize>) -> Self {
        let seen = |query| geometry.mask.visible(query, geometry.queries, geometry.keys);
        let (all, end) =
            queries.clone().map(seen).fold((geometry.keys, 0), |(all, end), seen| (all.min(seen), end.max(seen)));
        let mut visible = [end; COLUMNS];
        for (visible, query) in visible.iter_mut().zip(queries) {
            *visible = seen(query);
        }
        Self { visible, all, end }
    }

    /// Puts `value` where a query does not see a key, in `scores [.., 32]` whose first row is key `first`.
    pub fn hide(&self, scores: &mut [f32], first: usize, value: f32) {
        let from = self.all.max(first);
        let rows = scores.chunks_exact_mut(COLUMNS).skip(from - first);
        for (key, row) in (from..self.end).zip(rows) {
            for (score, &visible) in row.iter_mut().zip(&self.visible) {
                if key >= visible {
                    *score = value;
                }
            }
        }
    }
}

/// How many keys the queries see, all together.
pub(super) fn seen(geometry: &AttentionGeometry, queries: Range<usize>) -> usize {
    queries.map(|query| geometry.mask.visible(query, geometry.queries, geometry.keys)).max().unwrap_or(0)
}

/// Cuts `positions` of each of `heads` heads for so many parts in all, in whole blocks of 32.
pub(super) fn share(positions: usize, heads: usize, parts: usize) -> usize {
    positions.div_ceil(COLUMNS).div_ceil(parts.div_ceil(heads)) * COLUMNS
}
