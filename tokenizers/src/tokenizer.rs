//! What every tokenizer offers.

use burn::tensor::Tensor;
use tessera_shaders::Projection;

use crate::flextok::Guidance;
use crate::vat::{OccupancyField, RefineOptions, Supervision};
use crate::{Fingerprint, TokenLayout, Tokens, TokensError};

/// What goes into a tokenizer.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "there is one in a call")]
pub enum Input {
    /// `[batch, 3, height, width]`, RGB in 0..=1.
    Images(Tensor<4>),
    /// Points on the surfaces of shapes that were brought into the box -1..=1.
    Points {
        /// `[batch, points, 3]`
        points: Tensor<3>,
        /// Their normals, of unit length and the same shape, for models that take them.
        normals: Option<Tensor<3>>,
    },
}

impl Input {
    /// What it is, in words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Input::Images(images) => format!("pictures {:?}", images.dims()),
            Input::Points { points, normals: None } => format!("points {:?} without normals", points.dims()),
            Input::Points { points, normals: Some(normals) } => {
                format!("points {:?} with normals {:?}", points.dims(), normals.dims())
            }
        }
    }

    /// The pictures.
    ///
    /// # Errors
    /// [`TokenizerError::Input`] if it is something else.
    pub(crate) fn images(&self) -> Result<&Tensor<4>, TokenizerError> {
        match self {
            Input::Images(images) => Ok(images),
            other => Err(TokenizerError::Input {
                what: "input",
                expected: "pictures [batch, 3, height, width]".to_owned(),
                found: other.describe(),
            }),
        }
    }
}

/// What comes out of a tokenizer.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "there is one in a call")]
pub enum Output {
    /// `[batch, 3, height, width]`, RGB around 0..=1, not clamped.
    Images(Tensor<4>),
    /// What is inside and what outside a shape, for each item.
    Field(OccupancyField),
    /// `[batch, rows, channels]`: what a diffusion model that is not part of tessera makes pictures of (SEED).
    Features(Tensor<3>),
}

impl Output {
    /// The pictures of an image tokenizer; `None` from others.
    pub fn into_images(self) -> Option<Tensor<4>> {
        match self {
            Output::Images(images) => Some(images),
            Output::Field(_) | Output::Features(_) => None,
        }
    }

    /// The fields of a tokenizer of shapes; `None` from others.
    pub fn into_field(self) -> Option<OccupancyField> {
        match self {
            Output::Field(field) => Some(field),
            Output::Images(_) | Output::Features(_) => None,
        }
    }

    /// The features of a tokenizer that makes no pictures; `None` from others.
    pub fn into_features(self) -> Option<Tensor<3>> {
        match self {
            Output::Features(features) => Some(features),
            Output::Field(_) => None,
            Output::Images(_) => None,
        }
    }
}

/// The continuous side of tokens: code vectors, what continuous generators read and write.
#[derive(Debug, Clone)]
pub struct Latents {
    /// `[batch, positions, channels]`.
    pub vectors: Tensor<3>,
    /// Arrangement of the positions.
    pub layout: TokenLayout,
}

/// How to decode.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct DecodeOptions {
    /// Decode only the first so many tokens of each item; only where any prefix decodes.
    pub keep: Option<usize>,
    /// Height and width of the pictures in pixels, where tokens do not say it; the model's own where absent.
    pub size: Option<[usize; 2]>,
    /// How decoders that sample a flow do it; others take no notice.
    pub flow: FlowOptions,
}

/// Sampling of a flow decoder; what is absent the model's configuration says.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct FlowOptions {
    /// Euler steps.
    pub steps: Option<usize>,
    /// Classifier-free guidance.
    pub guidance: Option<Guidance>,
    /// `Some(None)` for plain guidance, `Some(Some(_))` for adaptive projected guidance.
    pub projection: Option<Option<Projection>>,
    /// Seed of the noise.
    pub seed: u64,
    /// Index of the first item among all that are decoded with this seed: items draw their noise by their index.
    pub first_item: u64,
}

impl DecodeOptions {
    /// Decodes the first `keep` tokens.
    pub fn prefix(keep: usize) -> Self {
        Self { keep: Some(keep), ..Self::default() }
    }
}

/// The filter that a model's release resizes pictures with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResizeFilter {
    /// Bilinear, antialiased.
    Bilinear,
    /// Bicubic (a = -0.5), antialiased.
    Bicubic,
}

/// What a tokenizer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InputKind {
    /// Pictures.
    Images,
    /// Points on surfaces.
    Points {
        /// How many of a shape it was made for; any number can be encoded.
        count: usize,
        /// Whether each comes with its normal.
        with_normals: bool,
    },
}

/// What a tokenizer is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenizerInfo {
    /// Architecture, such as `one-d-piece`.
    pub architecture: &'static str,
    /// Name of the released model whose configuration this is, if it is one.
    pub preset: Option<&'static str>,
    /// What it takes. What says of pictures has no meaning for other inputs.
    pub input: InputKind,
    /// Height and width of the pictures it takes and gives; `None` for any multiple of [`TokenizerInfo::patch`].
    pub image_size: Option<[usize; 2]>,
    /// Pixels that one cell of the encoder's grid is wide.
    pub patch: usize,
    /// How the release resizes a picture to this size.
    pub resize: ResizeFilter,
    /// Arrangement of the tokens of one picture; for tokenizers of any size, that of the smallest picture.
    pub layout: TokenLayout,
    /// Vocabulary size of each depth.
    pub vocab: Vec<u32>,
    /// Whether any prefix of the tokens decodes; of tokens in scales, any number of whole scales.
    pub prefix_decodes: bool,
    /// Whether decoding draws noise, so that each seed gives another picture.
    pub is_sampled: bool,
    /// Numbers in the weights.
    pub parameters: usize,
    /// Hash of configuration and weights.
    pub fingerprint: Fingerprint,
}

/// Why a tokenizer could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The input is of another kind or size.
    #[error("{what}: the model needs {expected}, found {found}")]
    Input {
        /// What does not fit.
        what: &'static str,
        /// What the model needs.
        expected: String,
        /// What was given.
        found: String,
    },
    /// Tokens of another model.
    #[error(
        "these tokens were made by another model ({found}), this one is {expected}: decode them with the model that made them"
    )]
    OtherModel {
        /// This model.
        expected: Fingerprint,
        /// The model of the tokens.
        found: Fingerprint,
    },
    /// The tokens do not fit together or to the model.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// The checkpoint has no decoder to pixels.
    #[error("{0}")]
    Unsupported(String),
    /// Tensor data could not be read back.
    #[error("reading the device's result failed: {0}")]
    Device(String),
}

impl TokenizerError {
    /// What a device says of a failure, in one line.
    pub(crate) fn of_device(error: &dyn std::fmt::Display) -> Self {
        Self::Device(tessera_shaders::device::in_one_line(error))
    }
}

/// A model that turns inputs into tokens and tokens back.
pub trait Tokenizer: Send + Sync {
    /// What this tokenizer is.
    fn info(&self) -> &TokenizerInfo;

    /// What the code at each depth of a position stands for, in the order of [`TokenizerInfo::vocab`].
    fn depth_names(&self) -> Vec<String> {
        match self.info().vocab.len() {
            1 => vec!["code".to_owned()],
            depth => (1..=depth).map(|at| format!("code {at}")).collect(),
        }
    }

    /// Inputs to tokens.
    ///
    /// # Errors
    /// [`TokenizerError::Input`] if the input does not fit the model.
    fn encode(&self, input: &Input) -> Result<Tokens, TokenizerError>;

    /// Tokens that decode nearer to the truth than those of [`Tokenizer::encode`], searched for by descending the decoder's own error: slower
    /// by the number of steps. `truth` says of places of each shape whether they are inside.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]; [`TokenizerError::Unsupported`] by all but a VAT.
    fn refine(&self, input: &Input, truth: &Supervision, options: &RefineOptions) -> Result<Tokens, TokenizerError> {
        let _ = (input, truth, options);
        Err(TokenizerError::Unsupported(format!(
            "{} encodes in one pass: only a VAT searches for better tokens of a shape",
            self.info().architecture
        )))
    }

    /// Tokens back to what they stand for. Items that keep different numbers of tokens are decoded group by group.
    ///
    /// # Errors
    /// [`TokenizerError`] if the tokens are another model's, or only a part of what this model needs.
    fn decode(&self, tokens: &Tokens, options: &DecodeOptions) -> Result<Output, TokenizerError>;

    /// The code vector of each token; zeros where a position is not kept.
    ///
    /// # Errors
    /// [`TokenizerError`] if the tokens are another model's.
    fn embed(&self, tokens: &Tokens) -> Result<Latents, TokenizerError>;

    /// The tokens whose vectors ([`Tokenizer::embed`]) are near those of `latents`, where several codes stand at a position: what the first leaves
    /// is the second's, and so on.
    ///
    /// # Errors
    /// [`TokenizerError::Input`] if the vectors do not fit; [`TokenizerError::Unsupported`] by tokenizers of one code at a position, whose nearest
    /// code is the nearest vector.
    fn nearest(&self, latents: &Latents) -> Result<Tokens, TokenizerError> {
        let _ = latents;
        Err(TokenizerError::Unsupported(format!("{} has one code at a position", self.info().architecture)))
    }

    /// Vectors that stand for whole inputs, `[batch, channels]` each, under what they are made of: to compare inputs with each
    /// other. Where nothing else is known of a model, the code vectors of all tokens side by side.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    fn item_vectors(&self, input: &Input) -> Result<Vec<(&'static str, Tensor<2>)>, TokenizerError> {
        Ok(vec![("tokens", side_by_side(self.embed(&self.encode(input)?)?.vectors))])
    }
}

/// `[batch, positions, channels]` as `[batch, positions * channels]`.
pub(crate) fn side_by_side(vectors: Tensor<3>) -> Tensor<2> {
    let [batch, positions, channels] = vectors.dims();
    vectors.reshape([batch, positions * channels])
}

/// `[batch, positions, channels]` averaged over the positions.
pub(crate) fn mean_over_positions(vectors: Tensor<3>) -> Tensor<2> {
    vectors.mean_dim(1).squeeze_dim(1)
}

/// Checks that tokens are this model's: maker, vocabulary and layout. Tokens whose maker is not known (a fingerprint
/// of zeros, as generators give them) are judged by the other two.
pub(crate) fn check_maker(tokens: &Tokens, info: &TokenizerInfo, layout: &TokenLayout) -> Result<(), TokenizerError> {
    let known = tokens.fingerprint() != Fingerprint::default();
    if known && tokens.fingerprint() != info.fingerprint {
        let (expected, found) = (info.fingerprint, tokens.fingerprint());
        return Err(TokenizerError::OtherModel { expected, found });
    }
    if tokens.vocab() != info.vocab {
        let (expected, found) = (format!("a vocabulary of {:?}", info.vocab), format!("{:?}", tokens.vocab()));
        return Err(TokenizerError::Input { what: "tokens", expected, found });
    }
    if tokens.layout() != layout {
        let (expected, found) = (layout.to_string(), tokens.layout().to_string());
        return Err(TokenizerError::Input { what: "token layout", expected, found });
    }
    Ok(())
}
