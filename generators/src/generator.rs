//! What every generator offers.

use std::ops::ControlFlow;

use burn::tensor::Tensor;
use tessera_tokenizers::{Fingerprint, Latents, TokenLayout, Tokens};

use crate::words::Words;
use crate::xar::Solver;
use crate::{GuidanceSchedule, Sampling};

/// What to generate.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "there is one in a call")]
pub enum Condition {
    /// One sample for each class index.
    Classes(Vec<u32>),
    /// One sample for each caption, words of the model's own table with spaces between them.
    Captions(Vec<String>),
    /// Features of captions as a text encoder makes them.
    TextFeatures {
        /// `[samples, positions, channels]`.
        features: Tensor<3>,
        /// Which positions hold text, `[samples, positions]` row by row; all where absent.
        kept: Option<Vec<bool>>,
    },
    /// Features of pictures as an image encoder makes them, `[samples, positions, channels]`.
    ImageFeatures(Tensor<3>),
    /// Both sorts of features.
    ImageAndTextFeatures {
        /// `[samples, positions, channels]`
        image: Tensor<3>,
        /// `[samples, positions, channels]`
        text: Tensor<3>,
        /// Which positions hold text, `[samples, positions]` row by row; all where absent.
        kept: Option<Vec<bool>>,
    },
    /// Captions as ids of the model's own text tokenizer, up to where the picture begins.
    TextIds {
        /// One sample for each.
        prompts: Vec<Vec<u32>>,
        /// What guidance leads away from; without it there is none.
        negative: Option<Vec<u32>>,
    },
    /// This many samples without a condition.
    Unconditional(usize),
}

impl Condition {
    /// Samples that will come out.
    pub fn samples(&self) -> usize {
        match self {
            Condition::Classes(classes) => classes.len(),
            Condition::Captions(captions) => captions.len(),
            Condition::TextFeatures { features, .. } => features.dims()[0],
            Condition::ImageFeatures(features) => features.dims()[0],
            Condition::ImageAndTextFeatures { image, .. } => image.dims()[0],
            Condition::TextIds { prompts, .. } => prompts.len(),
            Condition::Unconditional(samples) => *samples,
        }
    }

    /// What sort of condition this is.
    pub fn kind(&self) -> &'static str {
        match self {
            Condition::Classes(_) => "classes",
            Condition::Captions(_) => "captions",
            Condition::TextFeatures { .. } => "text features",
            Condition::ImageFeatures(_) => "image features",
            Condition::ImageAndTextFeatures { .. } => "image and text features",
            Condition::TextIds { .. } => "text ids",
            Condition::Unconditional(_) => "no condition",
        }
    }
}

/// How to generate; what is absent the model's configuration says.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct GenerateOptions {
    /// Seed of every random draw; the same seed on the same device gives the same tokens.
    pub seed: u64,
    /// Steps: of a masked generator in all, of a flow in each entity.
    pub steps: Option<usize>,
    /// Scale of classifier-free guidance; 0 and 1 switch it off.
    pub guidance_scale: Option<f32>,
    /// How the scale moves while a sequence grows.
    pub guidance_schedule: Option<GuidanceSchedule>,
    /// Steps after which guidance is switched off.
    pub guidance_interval: Option<usize>,
    /// How a flow is solved.
    pub solver: Option<Solver>,
    /// How ids are drawn from logits.
    pub sampling: Sampling,
    /// Tokens of each sample, for models of ordered tokens that end after any number of them; all where absent.
    pub keep: Option<usize>,
    /// What stands already, to be completed: kept positions stay as they are.
    pub given: Option<Given>,
}

/// Part of a sequence that is to be completed, the same for every sample where it holds one item.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "there is one in a call")]
pub enum Given {
    /// Tokens of which the kept positions stay.
    Tokens(Tokens),
    /// Latents and which positions of them stay, `[items, positions]` row by row.
    Latents(Latents, Vec<bool>),
}

/// A finished step, handed to the caller of [`Generator::generate`].
#[non_exhaustive]
pub struct Step<'a> {
    /// Index of the step, from 0.
    pub index: usize,
    /// Steps in all.
    pub of: usize,
    so_far: SoFar<'a>,
}

enum SoFar<'a> {
    Ids(&'a dyn Fn() -> Result<Vec<Option<u32>>, GeneratorError>),
    Latents(&'a dyn Fn() -> Tensor<3>),
}

impl<'a> Step<'a> {
    /// Step `index` of `of` of a generator of ids.
    pub fn of_ids(index: usize, of: usize, ids: &'a dyn Fn() -> Result<Vec<Option<u32>>, GeneratorError>) -> Self {
        Self { index, of, so_far: SoFar::Ids(ids) }
    }

    /// Step `index` of `of` of a generator of latents.
    pub fn of_latents(index: usize, of: usize, latents: &'a dyn Fn() -> Tensor<3>) -> Self {
        Self { index, of, so_far: SoFar::Latents(latents) }
    }

    /// Ids so far, `[samples, positions]` row by row; `None` where nothing is decided yet. Reads them from the device: a call
    /// waits for the step.
    ///
    /// # Errors
    /// [`GeneratorError::Device`] if they cannot be read, [`GeneratorError::Unfit`] if the generator makes latents.
    pub fn ids(&self) -> Result<Vec<Option<u32>>, GeneratorError> {
        match self.so_far {
            SoFar::Ids(ids) => ids(),
            SoFar::Latents(_) => Err(GeneratorError::Unfit("ids were asked of a generator of latents".to_owned())),
        }
    }

    /// Whether the generator makes latents.
    pub fn is_of_latents(&self) -> bool {
        matches!(self.so_far, SoFar::Latents(_))
    }

    /// Latents so far, `[samples, positions, channels]` in the layout's order, zeros where nothing is there yet; `None` from
    /// generators of ids.
    pub fn latents(&self) -> Option<Tensor<3>> {
        match self.so_far {
            SoFar::Latents(latents) => Some(latents()),
            SoFar::Ids(_) => None,
        }
    }
}

/// Why a generator could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GeneratorError {
    /// The condition does not fit the model.
    #[error("class {class} does not exist: the model knows classes 0..{classes}")]
    UnknownClass {
        /// The class asked for.
        class: u32,
        /// Classes of the model.
        classes: usize,
    },
    /// A caption holds a word that the model never saw.
    #[error("the model does not know the word \"{word}\"{}", closest.as_deref().map(|word| format!(", but \"{word}\"")).unwrap_or_default())]
    UnknownWord {
        /// The word.
        word: String,
        /// A word that it knows and that is spelt much the same.
        closest: Option<String>,
    },
    /// A caption without a word, or with too many.
    #[error("a caption of {words} words: expected 1 to {most}")]
    CaptionLength {
        /// Words of the caption.
        words: usize,
        /// Most words of the model.
        most: usize,
    },
    /// The model takes another sort of condition.
    #[error("the model is conditioned on {expected}, found {found}")]
    UnfitCondition {
        /// What it takes.
        expected: String,
        /// What was given.
        found: String,
    },
    /// An option has a value that cannot be.
    #[error("{option}: expected {expected}, found {found}")]
    InvalidOption {
        /// Name of the option.
        option: &'static str,
        /// What would fit.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A tokenizer and a generator, or given tokens and a generator, do not belong together.
    #[error("{0}")]
    Unfit(String),
    /// The step callback asked to stop.
    #[error("stopped after step {0} of generation, as asked")]
    Stopped(usize),
    /// Generated ids do not form tokens: a fault of the model.
    #[error(transparent)]
    Tokens(#[from] tessera_tokenizers::TokensError),
    /// Tensor data could not be read back.
    #[error("reading the device's result failed: {0}")]
    Device(String),
}

impl GeneratorError {
    /// What a device says of a failure, in one line.
    pub(crate) fn of_device(error: &dyn std::fmt::Display) -> Self {
        Self::Device(tessera_shaders::device::in_one_line(error))
    }
}

/// What a generator makes at each position.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// Codes; the vocabulary size of each depth.
    Codes {
        /// Vocabulary size of each depth.
        vocab: Vec<u32>,
    },
    /// Vectors.
    Latents {
        /// Channels of a vector.
        channels: usize,
    },
}

/// What a generator is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GeneratorInfo {
    /// Architecture, such as `next-token`.
    pub architecture: &'static str,
    /// Name of the released model whose configuration this is, if it is one.
    pub preset: Option<&'static str>,
    /// Arrangement of the positions that come out.
    pub layout: TokenLayout,
    /// What stands at each position.
    pub content: Content,
    /// Classes that it is conditioned on, if it is.
    pub classes: Option<usize>,
    /// Names of the first classes, where they have names.
    pub class_names: Vec<String>,
    /// Words that its captions are made of, if they are.
    pub words: Option<Words>,
    /// The tokenizer whose output it was trained on, where it is known.
    pub tokenizer: Option<Fingerprint>,
}

impl GeneratorInfo {
    /// An architecture's output; everything else absent.
    pub fn new(architecture: &'static str, layout: TokenLayout, content: Content) -> Self {
        let (classes, class_names) = (None, Vec::new());
        Self { architecture, preset: None, layout, content, classes, class_names, words: None, tokenizer: None }
    }
}

/// What comes out of a generator.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Generated {
    /// Codes.
    Tokens(Tokens),
    /// Vectors.
    Latents(Latents),
}

impl Generated {
    /// The tokens of a generator of codes; `None` from others.
    pub fn into_tokens(self) -> Option<Tokens> {
        match self {
            Generated::Tokens(tokens) => Some(tokens),
            Generated::Latents(_) => None,
        }
    }
}

/// A model that makes sequences of tokens or latents.
pub trait Generator: Send + Sync {
    /// What it is.
    fn info(&self) -> &GeneratorInfo;

    /// Rounds matrices to half precision (sums stay f32), which makes decoding on a CPU faster by what reading them takes; returns
    /// whether this generator can.
    fn halve_weights(&mut self) -> bool {
        false
    }

    /// Generates; `on_step` sees every step and may stop.
    ///
    /// # Errors
    /// [`GeneratorError`] if the condition or an option does not fit, or `on_step` stopped.
    fn generate(
        &self,
        condition: &Condition,
        options: &GenerateOptions,
        on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
    ) -> Result<Generated, GeneratorError>;
}
