//! Squares of a model's own size through the model, some at once.

use burn::tensor::{Device, Tensor, TensorData};
use tessera_datasets::{DatasetError, Picture};
use tessera_tokenizers::{DecodeOptions, Input, Output, Tokenizer, TokenizerError, TokenizerInfo, Tokens};

use crate::{Error, model_side};

/// Pixels that go through a model at once; bounds memory whatever the picture's size.
const PIXELS_AT_ONCE: usize = 1 << 18;

/// How many squares go through the model at once where nobody says how many.
pub(crate) fn at_once(info: &TokenizerInfo) -> usize {
    let side = usize::try_from(model_side(info)).unwrap_or(usize::MAX);
    (PIXELS_AT_ONCE / side.saturating_mul(side).max(1)).max(1)
}

/// Encodes squares, an item each, `step` at once. `progress` hears how many are done.
pub(crate) fn encode_squares(
    tokenizer: &dyn Tokenizer,
    squares: &[Picture],
    step: usize,
    device: &Device,
    progress: &mut dyn FnMut(usize),
) -> Result<Tokens, Error> {
    let info = tokenizer.info();
    let mut ids = Vec::new();
    let mut layout = info.layout.clone();
    let mut done = 0;
    for part in squares.chunks(step.max(1)) {
        let tokens = tokenizer.encode(&Input::Images(to_tensor(part, device)))?;
        layout = tokens.layout().clone();
        ids.extend_from_slice(tokens.ids());
        done += part.len();
        progress(done);
    }
    let tokens = Tokens::new(ids, squares.len(), layout, info.vocab.clone(), info.fingerprint);
    Ok(tokens.map_err(TokenizerError::from)?)
}

/// Decodes every item to a square of `side`, `step` at once, as `options` say. Items that keep
/// no token come out grey. `progress` hears how many are done.
pub(crate) fn decode_squares(
    tokenizer: &dyn Tokenizer,
    tokens: &Tokens,
    options: &DecodeOptions,
    side: u32,
    step: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Picture>, Error> {
    let items = tokens.batch();
    let lengths = tokens.prefix_lengths();
    let is_empty = |item: usize| lengths.as_ref().is_some_and(|lengths| lengths.get(item) == Some(&0));
    if (0..items).all(is_empty) {
        return Err(Error::NothingLeft);
    }
    let mut options = options.clone();
    let first_item = options.flow.first_item;
    let pixels = usize::try_from(side).unwrap_or(usize::MAX);
    options.size = options.size.or(Some([pixels, pixels]));
    let mut squares = Vec::with_capacity(items);
    while squares.len() < items {
        let start = squares.len();
        let count = (start..items).take(step.max(1)).take_while(|&item| !is_empty(item)).count();
        if count == 0 {
            squares.push(Picture::filled(side, side, [128; 3])?);
            continue;
        }
        let part = tokens.items(start, count).map_err(TokenizerError::from)?;
        options.flow.first_item = first_item + start as u64;
        let images = images_of(tokenizer.decode(&part, &options)?)?;
        squares.extend(to_pictures(images)?);
        progress(squares.len());
    }
    Ok(squares)
}

/// The pictures of what a tokenizer decoded.
pub(crate) fn images_of(output: Output) -> Result<Tensor<4>, Error> {
    match output {
        Output::Images(images) => Ok(images),
        Output::Field(_) => Err(Error::MakesShapes),
        _ => Err(Error::NoPictures),
    }
}

/// Pictures of one size as `[batch, 3, height, width]` in 0..=1.
pub(crate) fn to_tensor(pictures: &[Picture], device: &Device) -> Tensor<4> {
    let side = |side: u32| usize::try_from(side).unwrap_or(usize::MAX);
    let [height, width] = pictures.first().map_or([0, 0], |first| [side(first.height()), side(first.width())]);
    let values: Vec<f32> = pictures.iter().flat_map(Picture::to_planar_f32).collect();
    Tensor::from_data(TensorData::new(values, [pictures.len(), 3, height, width]), device)
}

/// Pictures in parts of equal size, none of more pixels than go through a network at once.
pub(crate) fn parts(pictures: &[Picture]) -> impl Iterator<Item = &[Picture]> {
    let size = |picture: &Picture| (picture.width(), picture.height());
    pictures.chunk_by(move |a, b| size(a) == size(b)).flat_map(|alike| {
        let pixels = alike.first().map_or(1, |first| first.rgb().len() / 3);
        alike.chunks((PIXELS_AT_ONCE / pixels.max(1)).max(1))
    })
}

/// `[batch, 3, height, width]` as pictures: clamped to 0..=1 and rounded to 8 bits.
pub(crate) fn to_pictures(images: Tensor<4>) -> Result<Vec<Picture>, DatasetError> {
    let [_, _, height, width] = images.dims();
    let values: Vec<f32> = images.into_data().iter().collect();
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    values
        .chunks_exact((3 * height * width).max(1))
        .map(|values| Picture::from_planar_f32(values, side(height), side(width)))
        .collect()
}
