//! Masks as rules about indices.

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
}

impl AttentionMask {
    /// How many of the `keys` keys query `query` of `queries` sees: always the first so many.
    pub fn visible(self, query: usize, queries: usize, keys: usize) -> usize {
        let position = query + keys.saturating_sub(queries);
        let seen = match self {
            Self::Full => keys,
            Self::Causal => position + 1,
            Self::Registers { patches } => patches.max(position + 1),
        };
        seen.min(keys)
    }
}
