//! What can be wrong with pictures among a language model's ids and words.

use super::vocabulary::{CLOSING, OPENING};

/// Ids or text that are no pictures of this vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VocabularyError {
    /// A code beyond the codebook.
    #[error("code {code} at place {place}: expected one of 0..{codebook}")]
    Code {
        /// The code.
        code: u32,
        /// Its place.
        place: usize,
        /// Codes that there are.
        codebook: u32,
    },
    /// An id within a picture that is no code.
    #[error("id {id} at place {place}, within a picture: expected one of {first}..{end}, the ids of codes")]
    Outside {
        /// The id.
        id: u32,
        /// Its place in the sequence.
        place: usize,
        /// First id of a code.
        first: u32,
        /// Behind the last id of a code.
        end: u32,
    },
    /// A picture that is not closed.
    #[error(
        "the picture that opens at place {place} is not closed: expected {CLOSING}; the model was stopped too early"
    )]
    NotClosed {
        /// Where it opens.
        place: usize,
    },
    /// An end without a start, or no picture where one was expected.
    #[error("expected {OPENING} {where_expected}")]
    NotOpened {
        /// Where.
        where_expected: String,
    },
    /// Another number of codes than a picture has.
    #[error("the picture at place {place} has {found} codes: expected {expected}")]
    Length {
        /// Where it opens; for codes alone, 0.
        place: usize,
        /// Codes of a picture.
        expected: usize,
        /// Codes found.
        found: usize,
    },
    /// Text that is no picture.
    #[error("text at byte {place}: expected {expected}, found \"{found}\"")]
    Text {
        /// Where.
        place: usize,
        /// What would fit.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// Tokens of another kind of tokenizer.
    #[error("expected tokens in one line of {expected} positions and {codebook} codes, all kept, found {found}")]
    OtherTokens {
        /// Codes of a picture.
        expected: usize,
        /// Codes that there are.
        codebook: u32,
        /// What was given.
        found: String,
    },
    /// Ids that do not fit into 32 bits.
    #[error("{text_vocab} words and {codebook} codes are more than ids can tell apart")]
    TooLarge {
        /// Words of the language model.
        text_vocab: u32,
        /// Codes.
        codebook: u32,
    },
}
