//! Prompts as ids of the release's text tokenizer.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::decoder::Padding;
use crate::{Condition, GeneratorError, Words};

/// Rows of ids of one length, padded in front: first those that are followed, behind them as many that guidance leads away from,
/// if there are any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct T2iPrompt {
    rows: usize,
    ids: Vec<Vec<u32>>,
    pad: u32,
    is_guided: bool,
}

/// A text's ids, without the start token, as the release prompts: the start token and the text, cut to `length` ids or padded to
/// it in front, and behind it `suffix`, the ids of the plain text `<img>`.
pub fn pad_prompt(start: u32, text: &[u32], suffix: &[u32], length: usize, pad: u32) -> Vec<u32> {
    let text: Vec<u32> = std::iter::once(start).chain(text.iter().copied()).take(length).collect();
    let padding = std::iter::repeat_n(pad, length - text.len());
    padding.chain(text.iter().copied()).chain(suffix.iter().copied()).collect()
}

impl T2iPrompt {
    /// Of rows of ids that end where the picture begins, and as many negative ones or none. Shorter rows are padded in front with
    /// `pad`; ids of text are below `codes`, the id of code 0.
    ///
    /// # Errors
    /// [`GeneratorError::UnfitCondition`] if there is no row, a row holds nothing but padding, an id is no text's, or there are
    /// fewer or more negative rows.
    pub fn new(
        prompts: Vec<Vec<u32>>,
        negative: Vec<Vec<u32>>,
        [pad, codes]: [u32; 2],
    ) -> Result<Self, GeneratorError> {
        let unfit = |found: String| {
            let expected = format!("ids of text below {codes} for each sample, and negative ids for each or none");
            Err(GeneratorError::UnfitCondition { expected, found })
        };
        let rows = prompts.len();
        if rows == 0 || (!negative.is_empty() && negative.len() != rows) {
            return unfit(format!("{rows} prompts and {} negative ones", negative.len()));
        }
        let is_guided = !negative.is_empty();
        let all = || prompts.iter().chain(&negative);
        if let Some(id) = all().flatten().find(|&&id| id >= codes) {
            return unfit(format!("id {id}"));
        }
        if all().any(|row| row.last().is_none_or(|&id| id == pad)) {
            return unfit("a prompt without text".to_owned());
        }
        let longest = all().map(Vec::len).max().unwrap_or(0);
        let ids = all().map(|row| std::iter::repeat_n(pad, longest - row.len()).chain(row.iter().copied()).collect());
        Ok(Self { rows, ids: ids.collect(), pad, is_guided })
    }

    /// The prompt of captions as ids of words, none of them padding: each with the id behind it at which the picture begins. Guidance
    /// leads away from no words at all.
    ///
    /// # Errors
    /// As [`T2iPrompt::new`].
    pub fn of_words(captions: &[Vec<u32>], is_guided: bool, special: [u32; 2]) -> Result<Self, GeneratorError> {
        let ids = |words: &Vec<u32>| words.iter().map(|word| word + 1).chain([0]).collect();
        let negative = if is_guided { vec![vec![0]; captions.len()] } else { Vec::new() };
        Self::new(captions.iter().map(ids).collect(), negative, special)
    }

    /// The prompt of what a caller asks for; captions where there is a table of words, and how many of them a caption may have.
    ///
    /// # Errors
    /// As [`T2iPrompt::new`]; also for any other sort of condition, and for words that are not in the table.
    pub fn of(
        condition: &Condition,
        [pad, codes]: [u32; 2],
        words: Option<(&Words, usize)>,
    ) -> Result<Self, GeneratorError> {
        match (condition, words) {
            (Condition::Captions(captions), Some((words, most))) => {
                let captions =
                    captions.iter().map(|caption| words.ids(caption, most)).collect::<Result<Vec<_>, _>>()?;
                return Self::of_words(&captions, true, [pad, codes]);
            }
            (Condition::Unconditional(rows), Some(_)) => {
                return Self::of_words(&vec![Vec::new(); *rows], false, [pad, codes]);
            }
            _ => {}
        }
        match condition {
            Condition::TextIds { prompts, negative } => {
                let negative = negative.iter().flat_map(|ids| std::iter::repeat_n(ids.clone(), prompts.len()));
                Self::new(prompts.clone(), negative.collect(), [pad, codes])
            }
            other => Err(GeneratorError::UnfitCondition {
                expected: match words {
                    Some((_, most)) => format!("captions of up to {most} words, or text as ids"),
                    None => "text as ids of its own text tokenizer".to_owned(),
                },
                found: other.kind().to_owned(),
            }),
        }
    }

    /// Samples that will come out.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether there are negative rows.
    pub fn is_guided(&self) -> bool {
        self.is_guided
    }

    /// The same without negative rows.
    pub fn unguided(&self) -> Self {
        let ids = self.ids.iter().take(self.rows).cloned().collect();
        Self { rows: self.rows, ids, pad: self.pad, is_guided: false }
    }

    /// Positions of a row.
    pub fn length(&self) -> usize {
        self.ids.first().map_or(0, Vec::len)
    }

    /// Rows in all.
    pub fn all_rows(&self) -> usize {
        self.ids.len()
    }

    /// Which positions hold text, row by row: all behind the padding in front.
    pub fn kept(&self) -> Vec<bool> {
        let marks = |row: &Vec<u32>| {
            let padded = row.iter().take_while(|&&id| id == self.pad).count();
            (0..row.len()).map(move |at| at >= padded).collect::<Vec<bool>>()
        };
        self.ids.iter().flat_map(marks).collect()
    }

    /// Ids `[all rows, length]` on a device.
    pub(super) fn upload(&self, device: &Device) -> Tensor<2, Int> {
        let ids: Vec<i32> = self.ids.iter().flatten().map(|&id| i32::try_from(id).unwrap_or(0)).collect();
        Tensor::from_data(TensorData::new(ids, [self.all_rows(), self.length()]), device)
    }

    pub(super) fn padding(&self, device: &Device) -> Option<Padding> {
        Padding::new(&self.kept(), self.all_rows(), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_cut_behind_and_padded_in_front() {
        assert_eq!(pad_prompt(1, &[5, 6], &[8, 9], 5, 30), [30, 30, 1, 5, 6, 8, 9]);
        assert_eq!(pad_prompt(1, &[5, 6, 7], &[8], 3, 30), [1, 5, 6, 8]);
        let prompt = T2iPrompt::new(vec![vec![1, 2], vec![1, 2, 3]], vec![vec![4]; 2], [30, 31]).unwrap();
        assert_eq!((prompt.length(), prompt.all_rows(), prompt.rows()), (3, 4, 2));
        let kept = [false, true, true, true, true, true, false, false, true, false, false, true];
        assert_eq!(prompt.kept(), kept);
        assert_eq!(prompt.unguided().all_rows(), 2);
    }

    #[test]
    fn what_is_no_prompt_is_refused() {
        let new = |prompts: Vec<Vec<u32>>, negative| T2iPrompt::new(prompts, negative, [30, 31]);
        assert!(new(vec![], vec![]).is_err() && new(vec![vec![]], vec![]).is_err());
        assert!(new(vec![vec![1, 30]], vec![]).is_err() && new(vec![vec![31]], vec![]).is_err());
        assert!(new(vec![vec![1]], vec![vec![1]; 2]).is_err() && new(vec![vec![30, 1]], vec![]).is_ok());
        assert!(T2iPrompt::of(&Condition::Unconditional(1), [30, 31], None).is_err());
        assert!(T2iPrompt::of(&Condition::Captions(vec!["red".to_owned()]), [30, 31], None).is_err());
    }

    #[test]
    fn captions_end_where_the_picture_begins() {
        let words = Words::try_from(vec!["blue".to_owned(), "red".to_owned()]).unwrap();
        let of = |condition: Condition| T2iPrompt::of(&condition, [30, 31], Some((&words, 2)));
        let prompt = of(Condition::Captions(vec!["red".to_owned(), "red blue".to_owned()])).unwrap();
        assert_eq!(prompt, T2iPrompt::new(vec![vec![2, 0], vec![2, 1, 0]], vec![vec![0]; 2], [30, 31]).unwrap());
        let nothing = of(Condition::Unconditional(2)).unwrap();
        assert_eq!((nothing.length(), nothing.rows(), nothing.is_guided()), (1, 2, false));
        assert!(of(Condition::Captions(vec!["green".to_owned()])).is_err() && of(Condition::Classes(vec![1])).is_err());
    }
}
