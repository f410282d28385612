//! [`CodeEncoder`]: what turns pictures into codes and codes into pictures.

use burn::tensor::{Device, Tensor};
use tessera_datasets::Picture;
use tessera_generators::{Content, Generated};
use tessera_tokenizers::{DecodeOptions, Fingerprint, Input, TokenLayout, Tokenizer};

use super::batch::CodeValues;
use crate::squares::to_pictures;
use crate::train::TrainError;

/// A tokenizer, or an autoencoder of latents.
pub enum CodeEncoder {
    /// Makes ids.
    Tokens(Box<dyn Tokenizer>),
}

impl CodeEncoder {
    /// Opens a tokenizer by folder, file or hub id; the one that is built into the program where absent.
    ///
    /// # Errors
    /// [`TrainError::Load`] if it cannot be opened.
    pub fn open(spec: Option<&str>, device: &Device) -> Result<Self, TrainError> {
        let tokenizer = match spec {
            Some(spec) => tessera_tokenizers::from_pretrained(spec, device)?,
            None => crate::default_tokenizer(device)?,
        };
        Ok(Self::Tokens(tokenizer))
    }

    /// Side of the square pictures that it takes.
    pub fn side(&self) -> usize {
        match self {
            Self::Tokens(tokenizer) => usize::try_from(crate::model_side(tokenizer.info())).unwrap_or(usize::MAX),
        }
    }

    /// Which model it is.
    pub fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Tokens(tokenizer) => tokenizer.info().fingerprint,
        }
    }

    /// Arrangement of the codes of a picture.
    pub fn layout(&self) -> TokenLayout {
        match self {
            Self::Tokens(tokenizer) => tokenizer.info().layout.clone(),
        }
    }

    /// What stands at each position.
    pub fn content(&self) -> Content {
        match self {
            Self::Tokens(tokenizer) => Content::Codes { vocab: tokenizer.info().vocab.clone() },
        }
    }

    /// Codes of pictures `[batch, 3, side, side]` in 0..=1.
    ///
    /// # Errors
    /// [`TrainError::Tokenizer`] if they do not fit.
    pub fn encode(&self, images: Tensor<4>) -> Result<CodeValues, TrainError> {
        match self {
            Self::Tokens(tokenizer) => {
                let tokens = tokenizer.encode(&Input::Images(images))?;
                Ok(CodeValues::Ids(tokens.ids().to_vec(), tokens.vocab().to_vec()))
            }
        }
    }

    /// Pictures of what a generator made, which need not say whose tokens they are.
    ///
    /// # Errors
    /// [`TrainError::Tokenizer`] if it does not fit.
    pub fn pictures(&self, generated: Generated) -> Result<Vec<Picture>, TrainError> {
        match (self, generated) {
            (Self::Tokens(tokenizer), Generated::Tokens(tokens)) => {
                let images = tokenizer.decode(&tokens, &DecodeOptions::default())?.into_images();
                Ok(images.map(to_pictures).transpose()?.unwrap_or_default())
            }
            _ => Err(TrainError::Invalid {
                key: "generator.tokenizer",
                expected: "one whose codes the generator makes".to_owned(),
                found: "another".to_owned(),
            }),
        }
    }
}
