//! Errors of what crosses crates.

use tessera_datasets::DatasetError;
use tessera_generators::GeneratorError;
use tessera_layers::checkpoint::CheckpointError;
use tessera_tokenizers::{LoadError, TokenFileError, TokenizerError};

/// Any error of the library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model could not be made.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A picture could not be read, prepared or written.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A shape could not be read, measured or written.
    #[error(transparent)]
    Shape(#[from] tessera_datasets::shape::ShapeError),
    /// The tokenizer refused its input.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The generator refused its input.
    #[error(transparent)]
    Generator(#[from] GeneratorError),
    /// Two models, or a model and its input, that do not belong together.
    #[error("{0}")]
    Unfit(String),
    /// A token file could not be read or written.
    #[error(transparent)]
    TokenFile(#[from] TokenFileError),
    /// A picture with nothing to see in it.
    #[error("the picture is {width}x{height} pixels: expected at least {least} on each side; enlarge it first")]
    TooSmall {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// What each side needs.
        least: u32,
    },
    /// The model makes no pictures.
    #[error(
        "this model decodes to features for a diffusion model, not to pictures: use its tokens, or decode to a .safetensors file"
    )]
    NoPictures,
    /// The model makes shapes, where pictures were asked for.
    #[error(
        "this model encodes meshes and decodes to shapes, not to pictures: give it meshes, and name .ply, .obj or .glb files for shapes"
    )]
    MakesShapes,
    /// The model knows no shapes.
    #[error("this model is of pictures, not of shapes: expected a tokenizer of shapes such as a VAT")]
    NotOfShapes,
    /// A decoded field without a surface.
    #[error(
        "nothing of shape {item}'s decoded field is inside, so that it has no surface: decode more tokens or at a finer resolution, \
         or use a trained model"
    )]
    NoSurface {
        /// Which of the shapes, from 0.
        item: usize,
    },
    /// Tokens of many shapes where one was asked for.
    #[error("expected the tokens of one shape, found those of {items}: decode them as several")]
    SeveralShapes {
        /// How many there are.
        items: usize,
    },
    /// A cut file ends before its first token.
    #[error("the token file holds no whole token: nothing can be decoded; get the file again")]
    NothingLeft,
    /// The tokens do not fill the picture that their file describes.
    #[error("the token file describes a picture of {tiles} tiles but holds tokens of {items}")]
    TileCount {
        /// Tiles of the picture.
        tiles: usize,
        /// Items in the file.
        items: usize,
    },
    /// A list of baselines that cannot be read.
    #[error(
        "expected codecs with qualities such as jpeg:1-20,webp:0-50/10 (jpeg 1 to 100, webp 0 to 100), found \"{found}\""
    )]
    Baselines {
        /// The part that is wrong.
        found: String,
    },
    /// A codec that is compared with could not code a picture.
    #[error("{codec}: {problem}; leave this baseline out")]
    Codec {
        /// The codec.
        codec: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A network that judges pictures could not be made.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Sets of pictures could not be compared.
    #[error(transparent)]
    Distribution(#[from] crate::eval::DistributionError),
    /// The rate-distortion picture could not be drawn.
    #[error("the chart could not be drawn: {0}")]
    Chart(String),
}
