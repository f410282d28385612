//! SEED's tokens as ids and words of a language model.

use std::ops::Range;

use super::vocabulary_error::VocabularyError;
use crate::{TokenLayout, Tokens, TokensError};

/// Text that opens a picture.
pub(super) const OPENING: &str = "<img>";
/// Text that closes a picture.
pub(super) const CLOSING: &str = "</img>";

/// How a language model writes pictures: codes follow its own words, and two more ids stand around each picture.
///
/// A picture is `<img><img_00007>...</img>`; the code `c` has the id `text_vocab + c`. Source: SEED-LLaMA (arXiv 2310.01218), whose
/// released code offsets by the 32,000 words of LLaMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisualVocabulary {
    /// Words of the language model; the id of code 0.
    pub text_vocab: u32,
    /// Codes.
    pub codebook: u32,
    /// Codes of one picture.
    pub n_tokens: usize,
    /// Id of `<img>`.
    pub opening: u32,
    /// Id of `</img>`.
    pub closing: u32,
}

/// A picture within a sequence of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedPicture {
    /// Its places, opening and closing ids included.
    pub places: Range<usize>,
    /// Its codes.
    pub codes: Vec<u32>,
}

impl VisualVocabulary {
    /// The vocabulary of a language model of `text_vocab` words, with `<img>` and `</img>` behind the codes, in this order.
    ///
    /// # Errors
    /// [`VocabularyError::TooLarge`] if the ids overflow.
    pub fn new(text_vocab: u32, codebook: u32, n_tokens: usize) -> Result<Self, VocabularyError> {
        let opening = text_vocab.checked_add(codebook);
        match opening.and_then(|opening| Some((opening, opening.checked_add(1)?))) {
            Some((opening, closing)) => Ok(Self { text_vocab, codebook, n_tokens, opening, closing }),
            None => Err(VocabularyError::TooLarge { text_vocab, codebook }),
        }
    }

    /// The vocabulary behind LLaMA's 32,000 words.
    pub const fn llama(codebook: u16, n_tokens: usize) -> Self {
        let (text_vocab, codebook) = (32_000, codebook as u32);
        let opening = text_vocab + codebook;
        Self { text_vocab, codebook, n_tokens, opening, closing: opening + 1 }
    }

    /// Behind the last id: what the language model's embedding needs rows for.
    pub fn total(&self) -> u32 {
        self.end().max(self.opening.saturating_add(1)).max(self.closing.saturating_add(1))
    }

    /// Behind the last id of a code.
    fn end(&self) -> u32 {
        self.text_vocab.saturating_add(self.codebook)
    }

    /// Ids of codes, without anything around them.
    ///
    /// # Errors
    /// [`VocabularyError::Code`] for a code beyond the codebook.
    pub fn ids(&self, codes: &[u32]) -> Result<Vec<u32>, VocabularyError> {
        let id = |(place, &code): (usize, &u32)| match code < self.codebook {
            true => Ok(self.text_vocab.saturating_add(code)),
            false => Err(VocabularyError::Code { code, place, codebook: self.codebook }),
        };
        codes.iter().enumerate().map(id).collect()
    }

    /// Codes of ids, without anything around them.
    ///
    /// # Errors
    /// [`VocabularyError::Outside`] for an id that is no code.
    pub fn codes(&self, ids: &[u32]) -> Result<Vec<u32>, VocabularyError> {
        self.codes_from(ids, 0)
    }

    fn codes_from(&self, ids: &[u32], first_place: usize) -> Result<Vec<u32>, VocabularyError> {
        let code = |(place, &id): (usize, &u32)| {
            let code = id.checked_sub(self.text_vocab).filter(|code| *code < self.codebook);
            let (first, end) = (self.text_vocab, self.end());
            code.ok_or(VocabularyError::Outside { id, place: first_place + place, first, end })
        };
        ids.iter().enumerate().map(code).collect()
    }

    /// A whole picture: `<img>`, its codes, `</img>`.
    ///
    /// # Errors
    /// [`VocabularyError`] for another number of codes, or one beyond the codebook.
    pub fn picture(&self, codes: &[u32]) -> Result<Vec<u32>, VocabularyError> {
        self.check_length(codes.len(), 0)?;
        let mut ids = vec![self.opening];
        ids.extend(self.ids(codes)?);
        ids.push(self.closing);
        Ok(ids)
    }

    /// Every picture of a sequence that may hold words before, between and behind them.
    ///
    /// # Errors
    /// [`VocabularyError`] if a picture is not closed or not opened, has another number of codes, or holds an id that is no code.
    pub fn pictures_in(&self, ids: &[u32]) -> Result<Vec<PlacedPicture>, VocabularyError> {
        let (mut found, mut at) = (Vec::new(), 0);
        while let Some(step) = self.next_mark(ids, at) {
            if ids.get(step) != Some(&self.opening) {
                let where_expected = format!("before {CLOSING} at place {step}");
                return Err(VocabularyError::NotOpened { where_expected });
            }
            let end = self.next_mark(ids, step + 1).filter(|end| ids.get(*end) == Some(&self.closing));
            let end = end.ok_or(VocabularyError::NotClosed { place: step })?;
            let codes = self.codes_from(ids.get(step + 1..end).unwrap_or_default(), step + 1)?;
            self.check_length(codes.len(), step)?;
            found.push(PlacedPicture { places: step..end + 1, codes });
            at = end + 1;
        }
        Ok(found)
    }

    /// The codes of the first picture of a sequence, as a language model writes it.
    ///
    /// # Errors
    /// As [`VisualVocabulary::pictures_in`]; also if there is no picture.
    pub fn first_picture(&self, ids: &[u32]) -> Result<Vec<u32>, VocabularyError> {
        let pictures = self.pictures_in(ids)?;
        let absent =
            || VocabularyError::NotOpened { where_expected: "in the sequence, which holds no picture".to_owned() };
        pictures.into_iter().next().map(|picture| picture.codes).ok_or_else(absent)
    }

    fn next_mark(&self, ids: &[u32], from: usize) -> Option<usize> {
        let rest = ids.get(from..)?;
        rest.iter().position(|id| *id == self.opening || *id == self.closing).map(|at| from + at)
    }

    fn check_length(&self, found: usize, place: usize) -> Result<(), VocabularyError> {
        let expected = self.n_tokens;
        if found == expected { Ok(()) } else { Err(VocabularyError::Length { place, expected, found }) }
    }

    /// The text of codes alone, such as `<img_00007><img_08191>`.
    ///
    /// # Errors
    /// [`VocabularyError::Code`] for a code beyond the codebook.
    pub fn code_text(&self, codes: &[u32]) -> Result<String, VocabularyError> {
        self.ids(codes)?;
        Ok(codes.iter().map(|code| format!("<img_{code:05}>")).collect())
    }

    /// The text of a whole picture.
    ///
    /// # Errors
    /// As [`VisualVocabulary::picture`].
    pub fn text(&self, codes: &[u32]) -> Result<String, VocabularyError> {
        self.check_length(codes.len(), 0)?;
        Ok(format!("{OPENING}{}{CLOSING}", self.code_text(codes)?))
    }

    /// Codes of the text of a whole picture, or of codes alone; spaces around and between words are passed over.
    ///
    /// # Errors
    /// [`VocabularyError`] if the text is anything else.
    pub fn parse(&self, text: &str) -> Result<Vec<u32>, VocabularyError> {
        let (mut codes, mut place, mut opened, mut closed) = (Vec::new(), 0, false, false);
        while let Some(rest) = text.get(place..).filter(|rest| !rest.is_empty()) {
            if let Some(space) = rest.chars().next().filter(|character| character.is_whitespace()) {
                place += space.len_utf8();
                continue;
            }
            let length = rest.find('>').map_or(rest.len(), |end| end + 1);
            let word = rest.get(..length).unwrap_or(rest);
            let unfit =
                |expected| Err(VocabularyError::Text { place, expected, found: word.chars().take(32).collect() });
            match word {
                OPENING if !opened && codes.is_empty() => opened = true,
                CLOSING if opened && !closed => closed = true,
                _ if closed => return unfit("nothing behind </img>"),
                _ => match code_of(word) {
                    Some(code) if code < self.codebook => codes.push(code),
                    Some(code) => {
                        return Err(VocabularyError::Code { code, place: codes.len(), codebook: self.codebook });
                    }
                    None => return unfit("<img>, <img_00000> and the like, or </img>"),
                },
            }
            place += length;
        }
        if opened {
            if !closed {
                return Err(VocabularyError::NotClosed { place: 0 });
            }
            self.check_length(codes.len(), 0)?;
        }
        Ok(codes)
    }

    /// One whole picture of ids for each item of a batch.
    ///
    /// # Errors
    /// [`VocabularyError::OtherTokens`] if these are no tokens of such a model.
    pub fn pictures_of(&self, tokens: &Tokens) -> Result<Vec<Vec<u32>>, VocabularyError> {
        let fits = matches!(tokens.layout(), TokenLayout::Ordered { .. })
            && tokens.positions() == self.n_tokens
            && tokens.vocab() == [self.codebook]
            && tokens.kept().is_none();
        if !fits {
            let (expected, codebook) = (self.n_tokens, self.codebook);
            let part = if tokens.kept().is_some() { ", a part of them" } else { "" };
            let found = format!("{} and {:?} codes{part}", tokens.layout(), tokens.vocab());
            return Err(VocabularyError::OtherTokens { expected, codebook, found });
        }
        tokens.ids().chunks(self.n_tokens.max(1)).map(|codes| self.picture(codes)).collect()
    }

    /// Tokens of whole pictures' codes. Who made them is not known.
    ///
    /// # Errors
    /// [`TokensError`] if a picture has another number of codes or one beyond the codebook.
    pub fn tokens(&self, pictures: &[Vec<u32>]) -> Result<Tokens, TokensError> {
        let len = u32::try_from(self.n_tokens).unwrap_or(u32::MAX);
        let wrong = pictures.iter().find(|codes| codes.len() != self.n_tokens);
        if let Some(codes) = wrong {
            let (expected, found) = (format!("{} codes", self.n_tokens), codes.len().to_string());
            return Err(TokensError::Shape { what: "codes of a picture", expected, found });
        }
        let layout = TokenLayout::Ordered { len };
        Tokens::new(pictures.concat(), pictures.len(), layout, vec![self.codebook], Default::default())
    }
}

/// The code of `<img_00007>`: at least five digits, and no more than are needed beyond these.
fn code_of(word: &str) -> Option<u32> {
    let digits = word.strip_prefix("<img_")?.strip_suffix('>')?;
    let well_formed = digits.len() == 5 || (digits.len() > 5 && !digits.starts_with('0'));
    (well_formed && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}
