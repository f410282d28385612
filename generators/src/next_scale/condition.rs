//! What samples are conditioned on, in the model's own terms.

use burn::tensor::{Device, Tensor};

use super::config::{ConditionKind, ConditionSizes, ScaleArConfig};
use crate::{Condition, GeneratorError};

/// Conditions of each row in the model's own terms: a part for each sort of condition that it takes.
#[derive(Debug, Clone)]
pub struct ScalePrompt {
    rows: usize,
    parts: Vec<PromptPart>,
}

/// One sort of condition.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "a prompt holds a few")]
pub enum PromptPart {
    /// Classes; `None` stands for no class.
    Classes(Vec<Option<u32>>),
    /// Ids of the words of captions; none stands for no caption.
    Words(Vec<Vec<u32>>),
    /// Features.
    Features {
        /// `[rows, positions, channels]`
        features: Tensor<3>,
        /// Which of them are taken, `[rows, positions]` row by row; the model's own vector of nothing stands for the others.
        kept: Vec<bool>,
    },
}

impl PromptPart {
    /// The same without a condition in the rows for which `is_dropped` says so.
    fn without(&self, rows: usize, mut is_dropped: impl FnMut(usize) -> bool) -> Self {
        match self {
            Self::Classes(classes) => {
                let kept = |(row, class): (usize, &Option<u32>)| class.filter(|_| !is_dropped(row));
                Self::Classes(classes.iter().enumerate().map(kept).collect())
            }
            Self::Words(captions) => {
                let kept = |(row, words): (usize, &Vec<u32>)| if is_dropped(row) { Vec::new() } else { words.clone() };
                Self::Words(captions.iter().enumerate().map(kept).collect())
            }
            Self::Features { features, kept } => {
                let positions = kept.len() / rows.max(1);
                let dropped: Vec<bool> = (0..rows).map(is_dropped).collect();
                let of_row = |at: usize| dropped.get(at / positions.max(1)).copied().unwrap_or(true);
                let kept = kept.iter().enumerate().map(|(at, &kept)| kept && !of_row(at)).collect();
                Self::Features { features: features.clone(), kept }
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Classes(classes) => classes.iter().all(Option::is_none),
            Self::Words(captions) => captions.iter().all(Vec::is_empty),
            Self::Features { kept, .. } => !kept.contains(&true),
        }
    }
}

impl ScalePrompt {
    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The parts.
    pub fn parts(&self) -> &[PromptPart] {
        &self.parts
    }

    /// Whether no row has a condition, so that guidance has nothing to guide to.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(PromptPart::is_empty)
    }

    /// The same without any condition in the rows for which `is_dropped` says so.
    pub fn without(&self, mut is_dropped: impl FnMut(usize) -> bool) -> Self {
        let dropped: Vec<bool> = (0..self.rows).map(&mut is_dropped).collect();
        let of_row = |row: usize| dropped.get(row).copied().unwrap_or(true);
        Self { rows: self.rows, parts: self.parts.iter().map(|part| part.without(self.rows, of_row)).collect() }
    }

    /// These rows, and behind them as many without a condition.
    pub fn with_unconditional(&self) -> Self {
        let none = self.without(|_| true);
        let parts = self.parts.iter().zip(none.parts).map(|parts| match parts {
            (PromptPart::Classes(some), PromptPart::Classes(none)) => {
                PromptPart::Classes([some.as_slice(), &none].concat())
            }
            (PromptPart::Words(some), PromptPart::Words(none)) => PromptPart::Words([some.as_slice(), &none].concat()),
            (PromptPart::Features { features, kept }, PromptPart::Features { kept: none, .. }) => {
                PromptPart::Features {
                    features: features.clone().repeat_dim(0, 2),
                    kept: [kept.as_slice(), &none].concat(),
                }
            }
            (part, _) => part.clone(), // parts are of one sort
        });
        Self { rows: 2 * self.rows, parts: parts.collect() }
    }

    /// The prompt of items of these classes and captions, as ids of words, of which the model takes what it knows. Features are
    /// absent.
    pub fn of_items(config: &ScaleArConfig, labels: &[Option<u32>], captions: &[Vec<u32>]) -> Self {
        let classes = config.classes.map(|classes| {
            let known = |class: &u32| usize::try_from(*class).is_ok_and(|class| class < classes);
            PromptPart::Classes(labels.iter().map(|label| label.filter(known)).collect())
        });
        let cut = |words: &Vec<u32>| words.iter().copied().take(config.most_words).collect();
        let words = config.words.as_ref().map(|_| PromptPart::Words(captions.iter().map(cut).collect()));
        Self { rows: labels.len(), parts: classes.into_iter().chain(words).collect() }
    }

    /// The prompt of what a caller asks for. Of two sorts of features that the model takes, one may be absent.
    ///
    /// # Errors
    /// [`GeneratorError`] if the model takes other conditions, or does not know a class.
    pub fn of(config: &ScaleArConfig, condition: &Condition, device: &Device) -> Result<Self, GeneratorError> {
        let rows = condition.samples();
        let (image, text, kept) = match condition {
            Condition::ImageFeatures(image) => (Some(image), None, None),
            Condition::TextFeatures { features, kept } => (None, Some(features), kept.as_ref()),
            Condition::ImageAndTextFeatures { image, text, kept } => (Some(image), Some(text), kept.as_ref()),
            _ => (None, None, None),
        };
        let unfit = |found: String| GeneratorError::UnfitCondition { expected: config.wants(), found };
        let takes = |kind| config.conditions().iter().any(|sizes| sizes.kind == kind);
        let fits = match condition {
            Condition::Classes(_) => config.classes.is_some(),
            Condition::Unconditional(_) => true,
            Condition::ImageFeatures(_) => takes(ConditionKind::Image),
            Condition::TextFeatures { .. } => takes(ConditionKind::Text),
            Condition::ImageAndTextFeatures { image, text, .. } => {
                takes(ConditionKind::Image) && takes(ConditionKind::Text) && image.dims()[0] == text.dims()[0]
            }
            Condition::Captions(_) => config.words.is_some(),
            Condition::TextIds { .. } => false,
        };
        if !fits {
            return Err(unfit(condition.kind().to_owned()));
        }
        let mut parts = Vec::new();
        if let Some(classes) = config.classes {
            parts.push(PromptPart::Classes(match condition {
                Condition::Classes(wanted) => {
                    let known = |&class: &u32| usize::try_from(class).is_ok_and(|class| class < classes);
                    if let Some(&class) = wanted.iter().find(|class| !known(class)) {
                        return Err(GeneratorError::UnknownClass { class, classes });
                    }
                    wanted.iter().copied().map(Some).collect()
                }
                _ => vec![None; rows],
            }));
        }
        if let Some(words) = &config.words {
            parts.push(PromptPart::Words(match condition {
                Condition::Captions(captions) => {
                    captions.iter().map(|caption| words.ids(caption, config.most_words)).collect::<Result<_, _>>()?
                }
                _ => vec![Vec::new(); rows],
            }));
        }
        for ConditionSizes { kind, tokens, dim } in config.conditions() {
            let (given, kept) = match kind {
                ConditionKind::Image => (image, None),
                ConditionKind::Text => (text, kept),
            };
            parts.push(match given {
                Some(features) => {
                    let kept = kept.cloned().unwrap_or_else(|| vec![true; rows * tokens]);
                    if features.dims() != [rows, tokens, dim] || kept.len() != rows * tokens {
                        let found = format!("{} {:?} with {} marks", condition.kind(), features.dims(), kept.len());
                        return Err(unfit(found));
                    }
                    PromptPart::Features { features: features.clone().to_device(device), kept }
                }
                None => PromptPart::Features {
                    features: Tensor::zeros([rows, tokens, dim], device),
                    kept: vec![false; rows * tokens],
                },
            });
        }
        Ok(Self { rows, parts })
    }
}

impl ScaleArConfig {
    /// What conditions the model takes, in words.
    fn wants(&self) -> String {
        let classes = self.classes.map(|classes| format!("classes 0..{classes}"));
        let words = self.words.as_ref().map(|_| format!("captions of up to {} words", self.most_words));
        let features = self.conditions().into_iter().map(|ConditionSizes { kind, tokens, dim }| {
            let of = match kind {
                ConditionKind::Image => "image",
                ConditionKind::Text => "text",
            };
            format!("{of} features [samples, {tokens}, {dim}]")
        });
        let all: Vec<String> = classes.into_iter().chain(words).chain(features).collect();
        if all.is_empty() { "nothing".to_owned() } else { all.join(" and ") }
    }
}
