//! Pictures of any size through a tokenizer of fixed size.

use std::borrow::Cow;

use burn::tensor::{Device, Tensor, TensorData};
use tessera_datasets::{Filter, Picture, Preprocess, TileGrid};
use tessera_tokenizers::{
    DecodeOptions, Input, PictureInfo, TokenFile, Tokenizer, TokenizerError, TokenizerInfo, Tokens,
};

use crate::Error;

/// How a picture meets the size that a model works at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Resize the shorter edge, Pillow-exact, and cut the square from the middle, as the releases do.
    Resize(Filter),
    /// Cover the picture with tiles at full resolution.
    Tile,
}

/// Pixels that go through a model at once; bounds memory whatever the picture's size.
const PIXELS_AT_ONCE: usize = 1 << 18;
/// The side that models of any size are given.
const FREE_SIDE: usize = 256;

/// The shortest side of a picture that is encoded; below it there is nothing to see.
pub const LEAST_SIDE: u32 = 8;

/// The side of the square that a tokenizer works on.
pub fn model_side(info: &TokenizerInfo) -> u32 {
    let side = match info.image_size {
        Some([_, width]) => width,
        None => FREE_SIDE.next_multiple_of(info.patch.max(1)),
    };
    u32::try_from(side).unwrap_or(u32::MAX)
}

/// The picture as the model gets to see it: the resized square, or the whole picture where it is tiled.
///
/// # Errors
/// [`Error::TooSmall`] below [`LEAST_SIDE`], [`Error::Dataset`] if an extreme aspect ratio cannot be resized.
pub fn framed<'a>(picture: &'a Picture, framing: Framing, info: &TokenizerInfo) -> Result<Cow<'a, Picture>, Error> {
    let (width, height) = (picture.width(), picture.height());
    if width.min(height) < LEAST_SIDE {
        return Err(Error::TooSmall { width, height, least: LEAST_SIDE });
    }
    match framing {
        Framing::Resize(filter) => Ok(Cow::Owned(Preprocess::square(model_side(info), filter).apply(picture)?)),
        Framing::Tile => Ok(Cow::Borrowed(picture)),
    }
}

/// Encodes a picture of any size. `progress` hears how many tiles are done.
///
/// # Errors
/// As [`framed`]; also if the picture cannot be cut, or the model fails.
pub fn encode_picture(
    tokenizer: &dyn Tokenizer,
    picture: &Picture,
    framing: Framing,
    device: &Device,
    progress: &mut dyn FnMut(usize),
) -> Result<TokenFile, Error> {
    let info = tokenizer.info();
    let side = model_side(info);
    let seen = framed(picture, framing, info)?;
    let (tiles, tile) = match framing {
        Framing::Resize(_) => (vec![seen.into_owned()], None),
        Framing::Tile => (TileGrid::new(seen.width(), seen.height(), side)?.split(&seen)?, Some(side)),
    };
    let mut ids = Vec::new();
    let mut layout = info.layout.clone();
    let mut done = 0;
    for tiles in tiles.chunks(at_once(info)) {
        let tokens = tokenizer.encode(&Input::Images(to_tensor(tiles, side, device)))?;
        layout = tokens.layout().clone();
        ids.extend_from_slice(tokens.ids());
        done += tiles.len();
        progress(done);
    }
    let tokens =
        Tokens::new(ids, tiles.len(), layout, info.vocab.clone(), info.fingerprint).map_err(TokenizerError::from)?;
    Ok(TokenFile::new(tokens).with_picture(PictureInfo { width: picture.width(), height: picture.height(), tile }))
}

/// Decodes the picture of a token file, from the first `keep` tokens of every tile where given. `progress` hears how
/// many tiles are done. Tiles of which a cut file holds nothing come out grey.
///
/// # Errors
/// [`Error`] if the tokens are another model's, not enough for this model, or do not fill the picture.
pub fn decode_tokens(
    tokenizer: &dyn Tokenizer,
    file: &TokenFile,
    keep: Option<usize>,
    progress: &mut dyn FnMut(usize),
) -> Result<Picture, Error> {
    let grid = match &file.picture {
        Some(PictureInfo { width, height, tile: Some(tile) }) => Some(TileGrid::new(*width, *height, *tile)?),
        _ => None,
    };
    let (tiles, items) = (grid.map_or(1, |grid| grid.len()), file.tokens.batch());
    if tiles != items {
        return Err(Error::TileCount { tiles, items });
    }
    let lengths = file.tokens.prefix_lengths();
    let is_empty = |item: usize| lengths.as_ref().is_some_and(|lengths| lengths.get(item) == Some(&0));
    if (0..items).all(is_empty) {
        return Err(Error::NothingLeft);
    }
    let mut options = DecodeOptions::default();
    options.keep = keep;
    let mut pictures = Vec::with_capacity(items);
    let step = at_once(tokenizer.info());
    let side = grid.map_or_else(|| model_side(tokenizer.info()), |grid| grid.tile());
    while pictures.len() < items {
        let start = pictures.len();
        let count = (start..items).take(step).take_while(|&item| !is_empty(item)).count();
        if count == 0 {
            pictures.push(Picture::filled(side, side, [128; 3])?);
            continue;
        }
        let part = file.tokens.items(start, count).map_err(TokenizerError::from)?;
        let images = tokenizer.decode(&part, &options)?.into_images().ok_or(Error::NoPictures)?;
        pictures.extend(to_pictures(images)?);
        progress(pictures.len());
    }
    match grid {
        Some(grid) => Ok(grid.stitch(&pictures)?),
        None => pictures.pop().ok_or(Error::NothingLeft),
    }
}

/// How many squares go through the model at once.
fn at_once(info: &TokenizerInfo) -> usize {
    let side = usize::try_from(model_side(info)).unwrap_or(usize::MAX);
    (PIXELS_AT_ONCE / side.saturating_mul(side).max(1)).max(1)
}

/// Pictures of one size as `[batch, 3, side, side]` in 0..=1.
fn to_tensor(pictures: &[Picture], side: u32, device: &Device) -> Tensor<4> {
    let side = usize::try_from(side).unwrap_or(usize::MAX);
    let values: Vec<f32> = pictures.iter().flat_map(Picture::to_planar_f32).collect();
    Tensor::from_data(TensorData::new(values, [pictures.len(), 3, side, side]), device)
}

/// `[batch, 3, height, width]` as pictures: clamped to 0..=1 and rounded to 8 bits.
fn to_pictures(images: Tensor<4>) -> Result<Vec<Picture>, Error> {
    let [_, _, height, width] = images.dims();
    let values: Vec<f32> = images.into_data().iter().collect();
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    values
        .chunks_exact((3 * height * width).max(1))
        .map(|values| Ok(Picture::from_planar_f32(values, side(height), side(width))?))
        .collect()
}
