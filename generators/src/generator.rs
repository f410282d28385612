//! What every generator offers.

use std::ops::ControlFlow;

use tessera_tokenizers::{TokenLayout, Tokens};

/// What to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// One sample for each class index.
    Classes(Vec<u32>),
    /// This many samples without a condition.
    Unconditional(usize),
}

impl Condition {
    /// Samples that will come out.
    pub fn samples(&self) -> usize {
        match self {
            Condition::Classes(classes) => classes.len(),
            Condition::Unconditional(samples) => *samples,
        }
    }
}

/// How to generate.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct GenerateOptions {
    /// Seed of every random draw; the same seed on the same device gives the same tokens.
    pub seed: u64,
    /// Overrides the model's own number of steps.
    pub steps: Option<usize>,
    /// Overrides the model's own guidance scale; 0 switches guidance off.
    pub guidance_scale: Option<f32>,
    /// Overrides the model's own temperature.
    pub temperature: Option<f32>,
    /// Tokens of each sample, for models of ordered tokens that end after any number of them; all where absent.
    pub keep: Option<usize>,
}

/// A finished step, handed to the caller of [`Generator::generate`].
#[derive(Debug, Clone)]
pub struct Step<'a> {
    /// Index of the step, from 0.
    pub index: usize,
    /// Steps in all.
    pub of: usize,
    /// Ids so far, `[samples, positions]` row by row; `None` where nothing is decided yet.
    pub ids: &'a [Option<u32>],
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

/// A model that makes token sequences.
pub trait Generator: Send + Sync {
    /// Layout of the tokens that come out.
    fn layout(&self) -> TokenLayout;

    /// Vocabulary size of each depth.
    fn vocab(&self) -> Vec<u32>;

    /// Generates tokens; `on_step` sees every step and may stop.
    ///
    /// # Errors
    /// [`GeneratorError`] if the condition or an option does not fit, or `on_step` stopped.
    fn generate(
        &self,
        condition: &Condition,
        options: &GenerateOptions,
        on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
    ) -> Result<Tokens, GeneratorError>;
}
