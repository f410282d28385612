//! What a sequence is conditioned on, and the positions that say it.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use tessera_layers::{Init, Linear, ParamResult, Params};

use super::{DecoderConfig, ModelType, Padding};
use crate::{Condition, GeneratorError};

/// A condition in the model's own terms, one for each row.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "there is one in a call")]
pub enum Prompt {
    /// Classes; `None` stands for no class.
    Classes(Vec<Option<u32>>),
    /// Features of captions.
    Features {
        /// `[rows, condition positions, caption channels]`
        features: Tensor<3>,
        /// Which of them hold text, `[rows, positions]` row by row.
        kept: Vec<bool>,
        /// Rows that take the model's own features of no text in place of theirs.
        dropped: Vec<bool>,
    },
    /// Ids of the words of each caption; none stands for no caption.
    Words(Vec<Vec<u32>>),
}

impl Prompt {
    /// Rows.
    pub fn rows(&self) -> usize {
        match self {
            Prompt::Classes(classes) => classes.len(),
            Prompt::Features { dropped, .. } => dropped.len(),
            Prompt::Words(captions) => captions.len(),
        }
    }

    /// Whether no row has a condition, so that guidance has nothing to guide to.
    pub fn is_empty(&self) -> bool {
        match self {
            Prompt::Classes(classes) => classes.iter().all(Option::is_none),
            Prompt::Features { dropped, .. } => dropped.iter().all(|&dropped| dropped),
            Prompt::Words(captions) => captions.iter().all(Vec::is_empty),
        }
    }

    /// These rows, and behind them as many without a condition. Padding stays that of the prompt.
    pub fn with_unconditional(&self) -> Self {
        match self {
            Prompt::Classes(classes) => {
                Prompt::Classes(classes.iter().copied().chain(std::iter::repeat_n(None, classes.len())).collect())
            }
            Prompt::Features { features, kept, dropped } => Prompt::Features {
                features: Tensor::cat(vec![features.clone(), features.clone()], 0),
                kept: kept.repeat(2),
                dropped: dropped.iter().copied().chain(std::iter::repeat_n(true, dropped.len())).collect(),
            },
            Prompt::Words(captions) => {
                let none = std::iter::repeat_n(Vec::new(), captions.len());
                Prompt::Words(captions.iter().cloned().chain(none).collect())
            }
        }
    }
}

/// Turns prompts into condition positions.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a model holds one")]
pub enum ConditionEmbedding {
    /// A table whose last row stands for no class.
    Classes(Table),
    /// Text features through an MLP.
    Features(Captions),
    /// A word table, whose last row stands for no word, through the same MLP.
    Words(Captions),
}

/// `cls_embedding.embedding_table`
#[derive(Module, Debug)]
pub struct Table {
    table: Param<Tensor<2>>,
}

/// `cls_embedding.cap_proj`, and what it reads where there is no text.
#[derive(Module, Debug)]
pub struct Captions {
    fc1: Linear,
    fc2: Linear,
    /// Features of no text `[condition positions, caption channels]`, or the table of words `[words + 1, caption channels]`.
    table: Param<Tensor<2>>,
    positions: usize,
}

impl ConditionEmbedding {
    /// Takes `cls_embedding.*`.
    pub fn new(params: &Params, config: &DecoderConfig) -> ParamResult<Self> {
        let params = params.at("cls_embedding");
        let init = Init::Normal(config.initializer_range);
        if config.model_type == ModelType::Classes {
            let shape = [config.num_classes + 1, config.dim];
            return Ok(Self::Classes(Table { table: params.at("embedding_table").tensor("weight", shape, init)? }));
        }
        let captions = |table| -> ParamResult<Captions> {
            let projection = params.at("cap_proj");
            Ok(Captions {
                fc1: Linear::new(&projection.at("fc1"), config.caption_dim, config.dim, false)?,
                fc2: Linear::new(&projection.at("fc2"), config.dim, config.dim, false)?,
                table,
                positions: config.cls_token_num,
            })
        };
        Ok(match &config.words {
            // Rows of the usual deviation over the root of the width, as LlamaGen starts its features of no text.
            None => {
                let shape = [config.cls_token_num, config.caption_dim];
                let init = Init::Normal(1.0 / (config.caption_dim as f32).sqrt());
                Self::Features(captions(params.tensor("uncond_embedding", shape, init)?)?)
            }
            Some(words) => {
                let shape = [words.len() + 1, config.caption_dim];
                Self::Words(captions(params.at("word_table").tensor("weight", shape, Init::Normal(1.0))?)?)
            }
        })
    }

    /// `[rows, condition positions, width]`; words stand at the end. The prompt must be of the model's kind.
    pub fn embed(&self, prompt: &Prompt, device: &Device) -> Tensor<3> {
        match (self, prompt) {
            (Self::Classes(Table { table }), Prompt::Classes(classes)) => {
                let [rows, width] = table.dims();
                let null = rows.saturating_sub(1);
                let ids =
                    classes.iter().map(|class| class.map_or(null, |class| usize::try_from(class).unwrap_or(null)));
                select(table.val(), ids, device).reshape([classes.len(), 1, width])
            }
            (Self::Features(captions), Prompt::Features { features, dropped, .. }) => {
                let [rows, positions, channels] = features.dims();
                let null = captions.table.val().unsqueeze::<3>().expand([rows, positions, channels]);
                let marks: Vec<f32> = dropped.iter().map(|&dropped| f32::from(u8::from(dropped))).collect();
                let marks = Tensor::<1>::from_data(TensorData::new(marks, [rows]), device).reshape([rows, 1, 1]);
                captions.project(features.clone() * (marks.clone().neg() + 1.0) + null * marks)
            }
            (Self::Words(captions), Prompt::Words(rows)) => {
                let [words, channels] = captions.table.dims();
                let none = words.saturating_sub(1);
                let positions = captions.positions;
                let ids = rows.iter().flat_map(|words| {
                    let empty = positions.saturating_sub(words.len());
                    let words = words.iter().take(positions).map(|&word| usize::try_from(word).unwrap_or(none));
                    std::iter::repeat_n(none, empty).chain(words)
                });
                let x = select(captions.table.val(), ids, device);
                captions.project(x.reshape([rows.len(), positions, channels]))
            }
            // Prompts come from `prompt_of`, which makes no other.
            (_, prompt) => Tensor::zeros([prompt.rows(), 1, 1], device),
        }
    }

    /// The prompt of what a caller asks for, which every row of `rows` then has.
    ///
    /// # Errors
    /// [`GeneratorError`] if the model takes another sort of condition, or does not know a class or a word.
    pub fn prompt_of(config: &DecoderConfig, condition: &Condition, device: &Device) -> Result<Prompt, GeneratorError> {
        let most = config.cls_token_num;
        let expected = match (&config.words, config.model_type) {
            (Some(_), _) => "captions of words".to_owned(),
            (None, ModelType::Text) => format!("text features [samples, {most}, {}]", config.caption_dim),
            (None, ModelType::Classes) => format!("classes 0..{}", config.num_classes),
        };
        let unfit = |found: String| Err(GeneratorError::UnfitCondition { expected: expected.clone(), found });
        match (condition, &config.words, config.model_type) {
            (Condition::Classes(classes), None, ModelType::Classes) => {
                let known = |&class: &u32| usize::try_from(class).is_ok_and(|class| class < config.num_classes);
                match classes.iter().find(|class| !known(class)) {
                    Some(&class) => Err(GeneratorError::UnknownClass { class, classes: config.num_classes }),
                    None => Ok(Prompt::Classes(classes.iter().copied().map(Some).collect())),
                }
            }
            (Condition::Unconditional(rows), None, ModelType::Classes) => Ok(Prompt::Classes(vec![None; *rows])),
            (Condition::Captions(captions), Some(words), _) => {
                let ids = captions.iter().map(|caption| words.ids(caption, most));
                Ok(Prompt::Words(ids.collect::<Result<_, _>>()?))
            }
            (Condition::Unconditional(rows), Some(_), _) => Ok(Prompt::Words(vec![Vec::new(); *rows])),
            (Condition::Unconditional(rows), None, ModelType::Text) => Ok(Prompt::Features {
                features: Tensor::zeros([*rows, most, config.caption_dim], device),
                kept: vec![true; rows * most],
                dropped: vec![true; *rows],
            }),
            (Condition::TextFeatures { features, kept }, None, ModelType::Text) => {
                let [rows, positions, channels] = features.dims();
                let kept = kept.clone().unwrap_or_else(|| vec![true; rows * positions]);
                if positions != most || channels != config.caption_dim || kept.len() != rows * positions {
                    return unfit(format!("text features {:?} with {} marks", features.dims(), kept.len()));
                }
                Ok(Prompt::Features { features: features.clone(), kept, dropped: vec![false; rows] })
            }
            (other, ..) => unfit(other.kind().to_owned()),
        }
    }

    /// What of a prompt's condition positions is padding.
    pub fn padding(prompt: &Prompt, device: &Device) -> Option<Padding> {
        match prompt {
            Prompt::Features { kept, dropped, .. } => Padding::new(kept, dropped.len(), device),
            _ => None,
        }
    }
}

impl Captions {
    fn project(&self, x: Tensor<3>) -> Tensor<3> {
        self.fc2.forward(activation::gelu_approximate(self.fc1.forward(x)))
    }
}

/// Rows of a table, `[ids, width]`.
fn select(table: Tensor<2>, ids: impl Iterator<Item = usize>, device: &Device) -> Tensor<2> {
    let ids: Vec<i32> = ids.map(|id| i32::try_from(id).unwrap_or(i32::MAX)).collect();
    let count = ids.len();
    table.select(0, Tensor::<1, Int>::from_data(TensorData::new(ids, [count]), device))
}
