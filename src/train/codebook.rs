//! The codebook that a training cares for.

use tessera_tokenizers::quantizers::MovableCodes;

/// Codes that may be moved, and where they are kept.
pub struct Codebook<'a> {
    /// Released names of the parameters whose rows the codes are.
    pub names: &'static [&'static str],
    /// The codes.
    pub codes: &'a mut dyn MovableCodes,
}

/// The name that one codebook has in most releases.
pub(super) const EMBEDDING: &[&str] = &["quantize.embedding.weight"];
