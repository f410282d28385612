//! [`Codec`]: what turns pictures into codes and codes into pictures.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use tessera_datasets::Picture;
use tessera_generators::{Content, Generated, GeneratorInfo, Turns};
use tessera_tokenizers::{
    DecodeOptions, Fingerprint, Input, LatentCodec, LatentInfo, Pretrained, TokenLayout, Tokenizer, TokenizerError,
    TokenizerInfo, Tokens,
};

use crate::Error;
use crate::code_vectors::CodeVectors;
use crate::squares::{images_of, to_pictures};

/// A tokenizer, or an autoencoder of latents.
pub enum Codec {
    /// Makes ids.
    Tokens(Box<dyn Tokenizer>),
    /// Makes ids, of which several stand at a position: one after the other ([`Tokens::unrolled`]).
    Unrolled(Box<dyn Tokenizer>),
    /// Makes ids, whose code vectors stand for them.
    Vectors(Box<CodeVectors>),
    /// Makes latents.
    Latents(LatentCodec),
}

/// What a codec is made of.
enum Sort<'a> {
    Tokenizer(&'a TokenizerInfo),
    Autoencoder(&'a LatentInfo),
}

impl Codec {
    /// Opens a tokenizer or an autoencoder by folder, file or hub id; the tokenizer that is built into the program where absent.
    ///
    /// # Errors
    /// [`Error::Load`] if it cannot be opened.
    pub fn open(spec: Option<&str>, device: &Device) -> Result<Self, Error> {
        Ok(match spec {
            None => Self::Tokens(crate::default_tokenizer(device)?),
            Some(spec) => match Pretrained::open(spec, device)? {
                Pretrained::Tokens(tokenizer) => Self::Tokens(tokenizer),
                Pretrained::Latents(codec) => Self::Latents(codec),
            },
        })
    }

    /// This model for a generator of latents: a tokenizer of ids gives its code vectors.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if its vectors cannot be read.
    pub fn with_latents(self) -> Result<Self, Error> {
        match self {
            Self::Tokens(tokenizer) | Self::Unrolled(tokenizer) => {
                CodeVectors::new(tokenizer).map(Box::new).map(Self::Vectors)
            }
            other => Ok(other),
        }
    }

    /// This model for a generator of ids: where several codes stand at a position, they become positions of their own.
    #[must_use]
    pub fn with_one_code(self) -> Self {
        match self {
            Self::Tokens(tokenizer) if tokenizer.info().vocab.len() > 1 => Self::Unrolled(tokenizer),
            other => other,
        }
    }

    /// The vocabularies that take turns, where several codes stand at a position of the tokenizer.
    pub fn turns(&self) -> Option<Turns> {
        match self {
            Self::Unrolled(tokenizer) => {
                let size = |&codes: &u32| usize::try_from(codes).unwrap_or(usize::MAX);
                Some(Turns::new(tokenizer.info().vocab.iter().map(size)))
            }
            _ => None,
        }
    }

    /// This model for what a generator makes.
    ///
    /// # Errors
    /// As [`Codec::with_latents`].
    pub fn for_generator(self, info: &GeneratorInfo) -> Result<Self, Error> {
        match info.content {
            Content::Latents { .. } => self.with_latents(),
            Content::Codes { ref vocab } if vocab.len() == 1 => Ok(self.with_one_code()),
            _ => Ok(self),
        }
    }

    /// What a generator learnt from: one of the tokenizers or the transform that are built into the program, or a model whose folder lies
    /// beside the generator's, as those of `models/` do.
    ///
    /// # Errors
    /// [`Error::Unfit`] if it is none of them, or the generator does not say what it learnt from; [`Error::Load`] if it cannot be
    /// opened.
    pub fn of_generator(info: &GeneratorInfo, spec: Option<&str>, device: &Device) -> Result<Self, Error> {
        let Some(learnt) = info.tokenizer else {
            return Err(Error::Unfit(
                "the generator does not say which tokenizer it learnt from: name it with --tokenizer".to_owned(),
            ));
        };
        // The tokenizer is opened only where the transform is not the one.
        let transform = Self::Latents(crate::default_latent_codec(device)?);
        if transform.fingerprint() == learnt {
            return transform.for_generator(info);
        }
        let built_in: [fn(&Device) -> _; 2] = [crate::default_tokenizer, crate::default_shape_tokenizer];
        for open in built_in {
            let built_in = Self::Tokens(open(device)?);
            if built_in.fingerprint() == learnt {
                return built_in.for_generator(info);
            }
        }
        let folder = spec.and_then(|spec| Path::new(spec).canonicalize().ok());
        let folder = folder.map(|path| if path.is_dir() { path } else { path.with_file_name("") });
        let beside = folder.iter().filter_map(|folder| std::fs::read_dir(folder.parent()?).ok()).flatten().flatten();
        let mut beside: Vec<PathBuf> =
            beside.map(|entry| entry.path()).filter(|path| path.join("config.json").is_file()).collect();
        beside.sort();
        // What does not open is no tokenizer, or not for this purpose.
        let opened = beside.iter().filter_map(|path| Self::open(path.to_str(), device).ok());
        let found = opened.into_iter().find(|codec| codec.fingerprint() == learnt).ok_or_else(|| {
            Error::Unfit(format!(
                "the generator learnt from the tokenizer {learnt}, which is neither the built-in one nor in a folder beside the \
                 generator's: name it with --tokenizer"
            ))
        })?;
        found.for_generator(info)
    }

    fn sort(&self) -> Sort<'_> {
        match self {
            Self::Tokens(tokenizer) | Self::Unrolled(tokenizer) => Sort::Tokenizer(tokenizer.info()),
            Self::Vectors(vectors) => Sort::Tokenizer(vectors.tokenizer().info()),
            Self::Latents(codec) => Sort::Autoencoder(codec.info()),
        }
    }

    /// The tokenizer, if it is one of shapes: what a generator made then goes through [`decode_shapes`](crate::decode_shapes).
    pub fn of_shapes(&self) -> Option<&dyn Tokenizer> {
        match self {
            Self::Tokens(tokenizer) if crate::is_of_shapes(tokenizer.info()) => Some(&**tokenizer),
            Self::Vectors(vectors) if crate::is_of_shapes(vectors.tokenizer().info()) => Some(vectors.tokenizer()),
            _ => None,
        }
    }

    /// Side of the square pictures that it takes.
    pub fn side(&self) -> usize {
        match self.sort() {
            Sort::Tokenizer(info) => usize::try_from(crate::model_side(info)).unwrap_or(usize::MAX),
            Sort::Autoencoder(info) => info.usual_side,
        }
    }

    /// Which model it is.
    pub fn fingerprint(&self) -> Fingerprint {
        match self.sort() {
            Sort::Tokenizer(info) => info.fingerprint,
            Sort::Autoencoder(info) => info.fingerprint,
        }
    }

    /// Arrangement of the codes of a picture.
    pub fn layout(&self) -> TokenLayout {
        // Pictures of any size: the grid of those that it is given here.
        let grid = |patch: usize| {
            let cells = u32::try_from(self.side() / patch.max(1)).unwrap_or(u32::MAX);
            TokenLayout::Grid { height: cells, width: cells }
        };
        let layout = match self.sort() {
            Sort::Autoencoder(info) => grid(info.patch),
            Sort::Tokenizer(info) => match (&info.layout, info.image_size) {
                (TokenLayout::Grid { .. }, None) => grid(info.patch),
                (layout, _) => layout.clone(),
            },
        };
        match self {
            Self::Unrolled(tokenizer) => {
                layout.unrolled(u32::try_from(tokenizer.info().vocab.len()).unwrap_or(u32::MAX))
            }
            _ => layout,
        }
    }

    /// What stands at each position.
    pub fn content(&self) -> Content {
        match self {
            Self::Tokens(tokenizer) => Content::Codes { vocab: tokenizer.info().vocab.clone() },
            Self::Unrolled(tokenizer) => {
                let all = tokenizer.info().vocab.iter().fold(0_u32, |all, &codes| all.saturating_add(codes));
                Content::Codes { vocab: vec![all] }
            }
            Self::Vectors(vectors) => Content::Latents { channels: vectors.channels() },
            Self::Latents(codec) => Content::Latents { channels: codec.info().channels },
        }
    }

    /// Codes of pictures `[batch, 3, side, side]` in 0..=1, or of points on shapes where the tokenizer is one of shapes.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if they do not fit, [`Error::NotOfShapes`] for points and an autoencoder of pictures.
    pub fn encode(&self, input: &Input) -> Result<Generated, Error> {
        Ok(match (self, input) {
            (Self::Tokens(tokenizer), _) => Generated::Tokens(tokenizer.encode(input)?),
            (Self::Unrolled(tokenizer), _) => {
                let tokens = tokenizer.encode(input)?.unrolled().map_err(TokenizerError::from)?;
                Generated::Tokens(tokens)
            }
            (Self::Vectors(vectors), _) => Generated::Latents(vectors.encode(input)?),
            (Self::Latents(codec), Input::Images(images)) => Generated::Latents(codec.encode(images.clone())?),
            (Self::Latents(_), _) => return Err(Error::NotOfShapes),
        })
    }

    /// The tokens of what a generator made, as the tokenizer makes them; of code vectors the nearest.
    ///
    /// # Errors
    /// [`Error::Unfit`] if there are none, as of an autoencoder of latents; [`Error::Tokenizer`] if they are not such as the tokenizer's.
    pub fn tokens(&self, generated: &Generated) -> Result<Tokens, Error> {
        match (self, generated) {
            (Self::Tokens(_), Generated::Tokens(tokens)) => Ok(tokens.clone()),
            (Self::Unrolled(tokenizer), Generated::Tokens(tokens)) => {
                let info = tokenizer.info();
                Ok(tokens.rolled(&info.layout, &info.vocab).map_err(TokenizerError::from)?)
            }
            (Self::Vectors(vectors), Generated::Latents(latents)) => vectors.tokens(latents),
            _ => Err(unlike()),
        }
    }

    /// Pictures of what a generator made, all of `options` that this model has a use for.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] or [`Error::Unfit`] if it does not fit.
    pub fn decode(&self, generated: &Generated, options: &DecodeOptions) -> Result<Vec<Picture>, Error> {
        let images = match (self, generated) {
            (Self::Tokens(tokenizer) | Self::Unrolled(tokenizer), _) => {
                images_of(tokenizer.decode(&self.tokens(generated)?, options)?)?
            }
            (Self::Vectors(vectors), Generated::Latents(latents)) => images_of(vectors.decode(latents, options)?)?,
            (Self::Latents(codec), Generated::Latents(latents)) => codec.decode(latents)?,
            _ => return Err(unlike()),
        };
        Ok(to_pictures(images)?)
    }

    /// Whether what a generator makes can be decoded here.
    ///
    /// # Errors
    /// [`Error::Unfit`] that says what does not fit: another tokenizer than the generator learnt from, another layout, other
    /// vocabularies or channels.
    pub fn check(&self, info: &GeneratorInfo) -> Result<(), Error> {
        let unfit = |what: &str, generator: String, codec: String| {
            Err(Error::Unfit(format!(
                "the generator and the tokenizer do not belong together: {what} {generator} for the generator, {codec} for \
                 the tokenizer; name the tokenizer that the generator learnt from with --tokenizer"
            )))
        };
        if let Some(learnt) = info.tokenizer
            && learnt != self.fingerprint()
        {
            return unfit("fingerprint", learnt.to_string(), self.fingerprint().to_string());
        }
        if info.content != self.content() {
            return unfit("content", format!("{:?}", info.content), format!("{:?}", self.content()));
        }
        // Tokenizers of any size of pictures give the layout of their usual size.
        if info.layout != self.layout() && info.tokenizer.is_none() {
            return unfit("layout", info.layout.to_string(), self.layout().to_string());
        }
        Ok(())
    }
}

fn unlike() -> Error {
    let what = "a generator of ids and an autoencoder of latents, or the other way round, do not belong together";
    Error::Unfit(what.to_owned())
}
