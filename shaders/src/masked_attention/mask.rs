//! Masks as rules about indices.

use super::ScaleEnds;

/// Which keys a query sees. No mask is ever stored: each is a rule about indices.
///
/// Fewer queries than keys stand for the last positions, as in decoding with a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttentionMask {
    /// Every query sees every key.
    Full,
    /// A query sees its own position and those before it.
    Causal,
    /// The first `patches` positions see one another and nothing else; each later position (a register) sees them, itself
    /// and the registers before it. FlexTok's `causal_last`.
    Registers {
        /// Positions before the first register.
        patches: usize,
    },
    /// The first `first` positions are causal. Behind them stands a grid of `height x width` tokens in the order in which NAR
    /// decodes them, anti-diagonal after anti-diagonal from the upper left corner: a token sees everything up to the end of its
    /// own diagonal, the proximity mask of arXiv 2503.10696.
    Neighbours {
        /// Positions before the grid.
        first: usize,
        /// Rows of the grid.
        height: usize,
        /// Columns of the grid.
        width: usize,
    },
    /// Positions stand in blocks of `size`, and see their own block and those before it (xAR's entities).
    Blocks {
        /// Positions of a block, at least 1.
        size: usize,
    },
    /// Behind `first` positions of a condition stand scales, coarse to fine: a position sees the condition, its own scale and the
    /// scales before it (VAR's block-causal mask, arXiv 2404.02905). The condition sees nothing of the scales.
    Scales {
        /// Positions before the first scale.
        first: usize,
        /// Whether these see only themselves and those before them, in place of one another.
        is_causal: bool,
        /// Where the scales end.
        ends: ScaleEnds,
    },
    /// The first `first` positions are causal. Behind them stand scales that never get shorter, in the order in which NAR decodes
    /// them: token `p` of scale `s` is on diagonal `s + p`, diagonal follows diagonal, and a token sees everything up to the end of
    /// its own. The CPU has a kernel for it; a GPU takes the reference.
    ScaleDiagonals {
        /// Positions before the scales.
        first: usize,
        /// Where the scales would end if they stood one after the other.
        ends: ScaleEnds,
    },
}

/// Where the anti-diagonal of position `at` of a `height x width` grid ends, positions in decoding order.
fn diagonal_end(at: usize, height: usize, width: usize) -> usize {
    let (mut end, mut diagonal) = (0, 0);
    while end <= at && diagonal + 1 < height + width {
        let length = (diagonal + 1).min(height).min(width).min(height + width - 1 - diagonal);
        (end, diagonal) = (end + length, diagonal + 1);
    }
    end
}

/// Where the diagonal of position `at` of scales ends, positions in decoding order; `None` behind the last.
fn scale_diagonal_end(at: usize, ends: &ScaleEnds) -> Option<usize> {
    let starts = std::iter::once(0).chain(ends.ends().iter().copied());
    let lengths = || starts.clone().zip(ends.ends()).map(|(start, &end)| (end - start) as usize);
    // Tokens on the diagonals up to this one.
    let up_to = |diagonal: usize| -> usize {
        lengths().enumerate().map(|(scale, length)| length.min((diagonal + 1).saturating_sub(scale))).sum()
    };
    let last = lengths().enumerate().map(|(scale, length)| scale + length).max()?;
    if up_to(last) <= at {
        return None;
    }
    let (mut low, mut high) = (0, last);
    while low < high {
        let middle = (low + high) / 2;
        if up_to(middle) > at { high = middle } else { low = middle + 1 }
    }
    Some(up_to(low))
}

impl AttentionMask {
    /// Whether there is a shader for it.
    pub(crate) fn has_shader(self) -> bool {
        !matches!(self, Self::ScaleDiagonals { .. })
    }

    /// How many of the `keys` keys query `query` of `queries` sees: always the first so many.
    pub fn visible(self, query: usize, queries: usize, keys: usize) -> usize {
        let position = query + keys.saturating_sub(queries);
        let seen = match self {
            Self::Full => keys,
            Self::Causal => position + 1,
            Self::Registers { patches } => patches.max(position + 1),
            Self::Neighbours { first, height, width } => match position.checked_sub(first) {
                Some(at) => first + diagonal_end(at, height, width),
                None => position + 1,
            },
            Self::Blocks { size } => position - position % size.max(1) + size.max(1),
            Self::Scales { first, is_causal, ends } => match position.checked_sub(first) {
                Some(at) => ends.end_of(at).map_or(keys, |end| first + end),
                None if is_causal => position + 1,
                None => first,
            },
            Self::ScaleDiagonals { first, ends } => match position.checked_sub(first) {
                Some(at) => scale_diagonal_end(at, &ends).map_or(keys, |end| first + end),
                None => position + 1,
            },
        };
        seen.min(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(mask: AttentionMask, keys: usize) -> Vec<usize> {
        (0..keys).map(|query| mask.visible(query, keys, keys)).collect()
    }

    #[test]
    fn diagonals_end_where_the_next_begins() {
        let grid = |first, height, width| AttentionMask::Neighbours { first, height, width };
        assert_eq!(seen(grid(2, 2, 3), 8), [1, 2, 3, 5, 5, 7, 7, 8]);
        assert_eq!(seen(grid(1, 1, 4), 5), [1, 2, 3, 4, 5]);
        assert_eq!(seen(grid(0, 3, 3), 9), [1, 3, 3, 6, 6, 6, 8, 8, 9]);
        // The last two of the queries of a cache.
        assert_eq!(grid(2, 2, 3).visible(0, 2, 7), 7);
    }

    #[test]
    fn diagonals_of_scales_end_where_the_next_begins() {
        let mask = |first, lengths: &[usize]| {
            let ends = ScaleEnds::new(lengths.iter().copied()).unwrap();
            AttentionMask::ScaleDiagonals { first, ends }
        };
        // 0 | 1 | 1, 2 | 2 | 3: scale 0 has one token, scale 1 two, scale 2 four.
        assert_eq!(seen(mask(2, &[1, 2, 4]), 9), [1, 2, 3, 4, 6, 6, 7, 8, 9]);
        assert_eq!(seen(mask(1, &[1, 2, 4]), 8), [1, 2, 3, 5, 5, 6, 7, 8]);
        assert_eq!(seen(mask(0, &[2, 2]), 5), [1, 3, 3, 4, 5]);
        assert_eq!(seen(mask(1, &[3]), 4), [1, 2, 3, 4]);
    }

    #[test]
    fn blocks_see_themselves_and_what_came_before() {
        assert_eq!(seen(AttentionMask::Blocks { size: 3 }, 7), [3, 3, 3, 6, 6, 6, 7]);
        assert_eq!(seen(AttentionMask::Blocks { size: 1 }, 3), [1, 2, 3]);
    }

    #[test]
    fn scales_see_themselves_what_is_coarser_and_the_condition() {
        let ends = ScaleEnds::new([1, 2, 4]).unwrap();
        let scales = |first, is_causal| AttentionMask::Scales { first, is_causal, ends };
        assert_eq!(seen(scales(3, false), 10), [3, 3, 3, 4, 6, 6, 10, 10, 10, 10]);
        assert_eq!(seen(scales(2, true), 9), [1, 2, 3, 5, 5, 9, 9, 9, 9]);
        // The second scale alone, behind what a cache holds.
        assert_eq!(scales(3, false).visible(0, 2, 6), 6);
        // Behind the last scale there is no rule any more.
        assert_eq!(seen(scales(0, false), 8), [1, 3, 3, 7, 7, 7, 7, 8]);
    }
}
