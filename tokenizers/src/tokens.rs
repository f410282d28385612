//! Token ids of a batch, with all that is needed to read them again.

use std::fmt;

/// Which model made a set of tokens: a hash of its configuration and weights.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// All 32 bytes in hexadecimal.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads what [`Fingerprint::hex`] wrote; `None` for anything but 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text
            .chars()
            .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()?;
        let bytes: Vec<u8> =
            digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
        (digits.len() == 64).then_some(Self(<[u8; 32]>::try_from(bytes).ok()?))
    }
}

impl fmt::Display for Fingerprint {
    /// The first 8 bytes in hexadecimal: enough to tell models apart by eye.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// How the positions of a token sequence are arranged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenLayout {
    /// A one-dimensional sequence in order of importance or of generation: FlexTok, One-D-Piece, TiTok, SEED.
    Ordered {
        /// Positions of a whole sequence.
        len: u32,
    },
    /// A grid, row by row: the VQGAN family, DualToken.
    Grid {
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
    },
    /// Scales from coarse to fine, one after the other: TokenFlow's multi-scale codes, VAT.
    Scales {
        /// Positions of each scale.
        counts: Vec<u32>,
    },
}

impl TokenLayout {
    /// Positions of one item.
    pub fn positions(&self) -> usize {
        let count = match self {
            Self::Ordered { len } => u64::from(*len),
            Self::Grid { height, width } => u64::from(*height) * u64::from(*width),
            Self::Scales { counts } => counts.iter().copied().map(u64::from).sum(),
        };
        usize::try_from(count).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for TokenLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ordered { len } => write!(f, "ordered, {len} positions"),
            Self::Grid { height, width } => write!(f, "grid, {height} x {width}"),
            Self::Scales { counts } => write!(f, "scales of {counts:?} positions"),
        }
    }
}

/// Ids that do not form tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokensError {
    /// The number of ids is not batch x positions x depth.
    #[error("expected {expected} token ids ({batch} items x {positions} positions x depth {depth}), found {found}")]
    Count {
        /// Ids that the other arguments ask for.
        expected: usize,
        /// Items.
        batch: usize,
        /// Positions of one item.
        positions: usize,
        /// Codes of one position.
        depth: usize,
        /// Ids given.
        found: usize,
    },
    /// An id lies outside its vocabulary.
    #[error("token id {id} at index {index} is outside its vocabulary 0..{vocab}")]
    OutOfVocabulary {
        /// The id.
        id: u32,
        /// Where it stands, `[batch, positions, depth]` flattened.
        index: usize,
        /// Size of the vocabulary at this depth.
        vocab: u32,
    },
    /// A mask, a prefix or a selection does not fit.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// What does not fit.
        what: &'static str,
        /// What would fit.
        expected: String,
        /// What was given.
        found: String,
    },
}

/// Token ids `[batch, positions, depth]` with their layout, the vocabulary size of each depth, and the model that made
/// them.
///
/// `depth` is 1 except where a position carries several codes (residual or dual codebooks). An optional mask
/// `[batch, positions]` says which positions are kept; a position that is not has the id 0 at every depth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    ids: Vec<u32>,
    batch: usize,
    layout: TokenLayout,
    vocab: Vec<u32>,
    fingerprint: Fingerprint,
    kept: Option<Vec<bool>>,
}

impl Tokens {
    /// Tokens of `batch` items; depth is the length of `vocab`.
    ///
    /// # Errors
    /// [`TokensError`] if the ids do not fill `[batch, positions, depth]`, there is no depth, or an id is outside its
    /// vocabulary.
    pub fn new(
        ids: Vec<u32>,
        batch: usize,
        layout: TokenLayout,
        vocab: Vec<u32>,
        fingerprint: Fingerprint,
    ) -> Result<Self, TokensError> {
        let (positions, depth) = (layout.positions(), vocab.len());
        if depth == 0 {
            let expected = "at least one vocabulary".to_owned();
            return Err(TokensError::Shape { what: "depth", expected, found: "none".to_owned() });
        }
        let expected = batch.saturating_mul(positions).saturating_mul(depth);
        if ids.len() != expected {
            let found = ids.len();
            return Err(TokensError::Count { expected, batch, positions, depth, found });
        }
        for (index, (&id, &vocab)) in ids.iter().zip(vocab.iter().cycle()).enumerate() {
            if id >= vocab {
                return Err(TokensError::OutOfVocabulary { id, index, vocab });
            }
        }
        Ok(Self { ids, batch, layout, vocab, fingerprint, kept: None })
    }

    /// The same tokens of which only the positions marked in `kept` (`[batch, positions]`) are kept; ids elsewhere
    /// become 0.
    ///
    /// # Errors
    /// [`TokensError::Shape`] for a mask of another length.
    pub fn with_kept(mut self, kept: Vec<bool>) -> Result<Self, TokensError> {
        let expected = self.batch * self.positions();
        if kept.len() != expected {
            let (expected, found) = (format!("{expected} marks"), kept.len().to_string());
            return Err(TokensError::Shape { what: "kept mask", expected, found });
        }
        let depth = self.depth();
        for (ids, _) in self.ids.chunks_mut(depth).zip(&kept).filter(|(_, kept)| !**kept) {
            ids.fill(0);
        }
        self.kept = (!kept.iter().all(|&kept| kept)).then_some(kept);
        Ok(self)
    }

    /// The first `keep` positions of every item, of those that are still kept.
    ///
    /// # Errors
    /// [`TokensError::Shape`] if `keep` is 0 or more than there are positions.
    pub fn prefix(self, keep: usize) -> Result<Self, TokensError> {
        let positions = self.positions();
        if keep == 0 || keep > positions {
            let (expected, found) = (format!("1 to {positions} tokens"), keep.to_string());
            return Err(TokensError::Shape { what: "prefix", expected, found });
        }
        let kept = (0..self.batch * positions).map(|at| at % positions < keep && self.is_kept(at)).collect();
        self.with_kept(kept)
    }

    /// Items `start..start + count` of the batch.
    ///
    /// # Errors
    /// [`TokensError::Shape`] if there are fewer items.
    pub fn items(&self, start: usize, count: usize) -> Result<Self, TokensError> {
        let Some(end) = start.checked_add(count).filter(|&end| end <= self.batch) else {
            let expected = format!("a range within 0..{}", self.batch);
            let found = format!("{count} items from {start}");
            return Err(TokensError::Shape { what: "items", expected, found });
        };
        let (positions, width) = (self.positions(), self.positions() * self.depth());
        Ok(Self {
            ids: self.ids.get(start * width..end * width).unwrap_or_default().to_vec(),
            batch: count,
            layout: self.layout.clone(),
            vocab: self.vocab.clone(),
            fingerprint: self.fingerprint,
            kept: self.kept.as_ref().and_then(|kept| {
                let kept = kept.get(start * positions..end * positions)?;
                (!kept.iter().all(|&kept| kept)).then(|| kept.to_vec())
            }),
        })
    }

    /// Ids `[batch, positions, depth]`, row-major.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Number of items.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Positions of one item, kept or not.
    pub fn positions(&self) -> usize {
        self.layout.positions()
    }

    /// Codes of one position.
    pub fn depth(&self) -> usize {
        self.vocab.len()
    }

    /// Arrangement of the positions.
    pub fn layout(&self) -> &TokenLayout {
        &self.layout
    }

    /// Vocabulary size of each depth.
    pub fn vocab(&self) -> &[u32] {
        &self.vocab
    }

    /// The model that made them.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The mask `[batch, positions]`; `None` where everything is kept.
    pub fn kept(&self) -> Option<&[bool]> {
        self.kept.as_deref()
    }

    /// How many positions of all items are kept.
    pub fn kept_count(&self) -> usize {
        match &self.kept {
            Some(kept) => kept.iter().filter(|&&kept| kept).count(),
            None => self.batch * self.positions(),
        }
    }

    fn is_kept(&self, at: usize) -> bool {
        self.kept.as_ref().is_none_or(|kept| kept.get(at).copied().unwrap_or(false))
    }

    /// How many leading positions each item keeps, if what it keeps is a prefix in every item.
    pub fn prefix_lengths(&self) -> Option<Vec<usize>> {
        let positions = self.positions();
        let Some(kept) = &self.kept else {
            return Some(vec![positions; self.batch]);
        };
        kept.chunks(positions.max(1))
            .map(|row| {
                let length = row.iter().take_while(|&&kept| kept).count();
                row.iter().skip(length).all(|&kept| !kept).then_some(length)
            })
            .collect()
    }

    /// Bits that hold the ids of one position: the sum over depths of `ceil(log2 vocabulary)`.
    pub fn bits_per_position(&self) -> u32 {
        self.vocab.iter().map(|&vocab| id_bits(vocab)).sum()
    }
}

/// `ceil(log2 vocab)`: bits of an id below `vocab`; 0 for a vocabulary of one.
pub fn id_bits(vocab: u32) -> u32 {
    u32::BITS - vocab.saturating_sub(1).leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        let layout = TokenLayout::Ordered { len: 3 };
        Tokens::new(vec![1, 2, 3, 4, 5, 6], 2, layout, vec![7], Fingerprint::default()).unwrap()
    }

    #[test]
    fn ids_must_fill_the_shape_and_lie_in_their_vocabulary() {
        let layout = TokenLayout::Grid { height: 1, width: 2 };
        let new = |ids: &[u32], vocab: &[u32]| {
            Tokens::new(ids.to_vec(), 1, layout.clone(), vocab.to_vec(), Fingerprint::default())
        };
        assert!(matches!(new(&[1], &[4]), Err(TokensError::Count { expected: 2, found: 1, .. })));
        assert!(matches!(new(&[1, 4], &[4]), Err(TokensError::OutOfVocabulary { index: 1, .. })));
        assert!(matches!(new(&[1, 1, 3, 2], &[4, 2]), Err(TokensError::OutOfVocabulary { index: 3, .. })));
        assert!(new(&[], &[]).is_err());
        assert!(new(&[1, 1, 3, 0], &[4, 2]).is_ok());
    }

    #[test]
    fn a_prefix_keeps_the_front_and_zeroes_the_rest() {
        let prefix = tokens().prefix(2).unwrap();
        assert_eq!(prefix.ids(), [1, 2, 0, 4, 5, 0]);
        assert_eq!(prefix.prefix_lengths(), Some(vec![2, 2]));
        assert_eq!(prefix.clone().prefix(3).unwrap(), prefix);
        assert_eq!(prefix.items(1, 1).unwrap().ids(), [4, 5, 0]);
        assert!(tokens().prefix(0).is_err() && tokens().prefix(4).is_err() && tokens().items(1, 2).is_err());
    }

    #[test]
    fn an_arbitrary_subset_is_no_prefix() {
        let subset = tokens().with_kept(vec![true, false, true, true, true, true]).unwrap();
        assert_eq!((subset.ids(), subset.prefix_lengths()), ([1, 0, 3, 4, 5, 6].as_slice(), None));
        assert_eq!(tokens().prefix(3).unwrap().kept(), None);
    }

    #[test]
    fn bits_round_up() {
        let bits = [1, 2, 3, 4, 5, 4096, 4097, u32::MAX].map(id_bits);
        assert_eq!(bits, [0, 1, 2, 2, 3, 12, 13, 32]);
    }
}
