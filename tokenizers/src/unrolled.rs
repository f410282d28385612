//! Several codes at a position as positions of their own, for generators that predict one code at a position.
//!
//! The codes of a position stand side by side, in the order of their depths, and the vocabularies lie behind one another in one: what an id says tells
//! which depth it is of.

use crate::{TokenLayout, Tokens, TokensError};

impl TokenLayout {
    /// This layout with `depth` positions side by side in the place of each.
    #[must_use]
    pub fn unrolled(&self, depth: u32) -> Self {
        match self {
            Self::Ordered { len } => Self::Ordered { len: len.saturating_mul(depth) },
            Self::Grid { height, width } => Self::Grid { height: *height, width: width.saturating_mul(depth) },
            Self::Scales { counts } => {
                Self::Scales { counts: counts.iter().map(|count| count.saturating_mul(depth)).collect() }
            }
        }
    }
}

/// The first id of each depth in the one vocabulary, and its size; `None` if that is no `u32`.
fn starts(vocab: &[u32]) -> Option<(Vec<u32>, u32)> {
    let mut end = 0_u32;
    let mut starts = Vec::with_capacity(vocab.len());
    for &codes in vocab {
        starts.push(end);
        end = end.checked_add(codes)?;
    }
    Some((starts, end))
}

fn too_many(vocab: &[u32]) -> TokensError {
    let expected = "vocabularies of less than 2^32 codes together".to_owned();
    TokensError::Shape { what: "vocabularies", expected, found: format!("{vocab:?}") }
}

impl Tokens {
    /// These tokens with one code at a position: `[batch, positions, depth]` as `[batch, positions * depth, 1]`, each id behind the vocabularies of
    /// the depths before it.
    ///
    /// # Errors
    /// [`TokensError::Shape`] if the vocabularies together have 2^32 codes or more.
    pub fn unrolled(&self) -> Result<Self, TokensError> {
        let (starts, all) = starts(self.vocab()).ok_or_else(|| too_many(self.vocab()))?;
        let ids = self.ids().iter().zip(starts.iter().cycle()).map(|(id, start)| id + start).collect();
        let depth = u32::try_from(self.depth()).unwrap_or(u32::MAX);
        let tokens = Self::new(ids, self.batch(), self.layout().unrolled(depth), vec![all], self.fingerprint())?;
        match self.kept() {
            Some(kept) => {
                tokens.with_kept(kept.iter().flat_map(|&kept| std::iter::repeat_n(kept, self.depth())).collect())
            }
            None => Ok(tokens),
        }
    }

    /// What [`Tokens::unrolled`] was given, of `layout` and `vocab`; positions of which a code is not kept are not kept.
    ///
    /// # Errors
    /// [`TokensError`] if the tokens are not of that layout, or an id stands at another depth than its own.
    pub fn rolled(&self, layout: &TokenLayout, vocab: &[u32]) -> Result<Self, TokensError> {
        let (starts, all) = starts(vocab).ok_or_else(|| too_many(vocab))?;
        let depth = vocab.len().max(1);
        let wanted = layout.unrolled(u32::try_from(depth).unwrap_or(u32::MAX));
        if *self.layout() != wanted || self.vocab() != [all] {
            return Err(TokensError::Shape {
                what: "unrolled tokens",
                expected: format!("{wanted} of one vocabulary of {all} codes"),
                found: format!("{} of {:?}", self.layout(), self.vocab()),
            });
        }
        let kept: Option<Vec<bool>> =
            self.kept().map(|kept| kept.chunks(depth).map(|codes| codes.iter().all(|&kept| kept)).collect());
        let is_kept = |at: usize| kept.as_ref().is_none_or(|kept| kept.get(at / depth).copied().unwrap_or(false));
        let own = self.ids().iter().zip(starts.iter().zip(vocab).cycle()).enumerate();
        let ids = own.map(|(index, (&id, (&start, &codes)))| match id.checked_sub(start) {
            _ if !is_kept(index) => Ok(0),
            Some(code) if code < codes => Ok(code),
            _ => Err(TokensError::Shape {
                what: "unrolled tokens",
                expected: format!("an id of {start}..{} at depth {}", start + codes, index % depth + 1),
                found: format!("{id} at index {index}"),
            }),
        });
        let ids = ids.collect::<Result<_, _>>()?;
        let tokens = Self::new(ids, self.batch(), layout.clone(), vocab.to_vec(), self.fingerprint())?;
        match kept {
            Some(kept) => tokens.with_kept(kept),
            None => Ok(tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fingerprint;

    fn tokens() -> Tokens {
        let ids = vec![4, 0, 1, 2, 0, 1, 1, 1, 0, 3, 2, 1];
        let layout = TokenLayout::Grid { height: 1, width: 2 };
        Tokens::new(ids, 2, layout, vec![5, 3, 2], Fingerprint([7; 32])).unwrap()
    }

    #[test]
    fn codes_of_a_position_stand_side_by_side_and_come_back() {
        let tokens = tokens();
        let flat = tokens.unrolled().unwrap();
        assert_eq!(flat.ids(), [4, 5, 9, 2, 5, 9, 1, 6, 8, 3, 7, 9]);
        assert_eq!((flat.layout(), flat.vocab()), (&TokenLayout::Grid { height: 1, width: 6 }, &[10][..]));
        assert_eq!(flat.rolled(tokens.layout(), tokens.vocab()).unwrap(), tokens);

        let part = tokens.clone().with_kept(vec![true, false, false, true]).unwrap();
        let flat = part.unrolled().unwrap();
        assert_eq!(flat.kept_count(), 6);
        assert_eq!(flat.rolled(part.layout(), part.vocab()).unwrap(), part);
        // A position of which a part is missing is not there.
        let cut = tokens.unrolled().unwrap().with_kept((0..12).map(|at| at != 4).collect()).unwrap();
        let cut = cut.rolled(tokens.layout(), tokens.vocab()).unwrap();
        assert_eq!(cut.kept().unwrap(), [true, false, true, true]);

        for (layout, unrolled) in [
            (TokenLayout::Ordered { len: 4 }, TokenLayout::Ordered { len: 12 }),
            (TokenLayout::Scales { counts: vec![1, 3] }, TokenLayout::Scales { counts: vec![3, 9] }),
        ] {
            assert_eq!(layout.unrolled(3), unrolled);
        }
    }

    #[test]
    fn what_is_not_such_is_refused() {
        let (tokens, flat) = (tokens(), tokens().unrolled().unwrap());
        let said = |found: Result<Tokens, TokensError>| found.unwrap_err().to_string();
        assert!(said(flat.rolled(&TokenLayout::Ordered { len: 2 }, &[5, 3, 2])).contains("6 positions"));
        assert!(said(flat.rolled(tokens.layout(), &[5, 3, 3])).contains("11 codes"));
        // The second depth's codes are 5, 6 and 7.
        let mut ids = flat.ids().to_vec();
        ids[4] = 8;
        let wrong = Tokens::new(ids, 2, flat.layout().clone(), vec![10], Fingerprint::default()).unwrap();
        let said_of_wrong = said(wrong.rolled(tokens.layout(), tokens.vocab()));
        assert!(said_of_wrong.contains("5..8 at depth 2") && said_of_wrong.contains("8 at index 4"));
        let huge =
            Tokens::new(vec![0; 2], 1, TokenLayout::Ordered { len: 1 }, vec![u32::MAX; 2], Fingerprint::default());
        assert!(said(huge.unwrap().unrolled()).contains("2^32"));
    }
}
