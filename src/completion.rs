//! Parts of pictures as codes: what is to be completed, and what a generator has so far.

use burn::tensor::Device;
use tessera_datasets::{Filter, Picture, Preprocess};
use tessera_generators::{Content, Generated, GeneratorInfo, Given, Step};
use tessera_tokenizers::{Fingerprint, Input, Latents, TokenLayout, Tokens};

use crate::squares::to_tensor;
use crate::{Codec, Error};

/// A rectangle of a picture in shares of its sides, 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Region {
    /// The upper half.
    pub const UPPER_HALF: Self = Self { left: 0.0, top: 0.0, width: 1.0, height: 0.5 };

    /// Left, top, width and height in hundredths of the sides; `None` for a rectangle that is empty or leaves the picture.
    pub fn of_hundredths(numbers: [f64; 4]) -> Option<Self> {
        let [left, top, width, height] = numbers.map(|number| number / 100.0);
        let fits = |from: f64, length: f64| from >= 0.0 && length > 0.0 && from + length <= 1.0 + 1e-9;
        (fits(left, width) && fits(top, height)).then_some(Self { left, top, width, height })
    }

    /// Whether a cell of a `rows x columns` grid lies inside.
    fn holds(self, [row, column]: [usize; 2], [rows, columns]: [usize; 2]) -> bool {
        let inside = |cell: usize, cells: usize, from: f64, length: f64| {
            let (start, end) = (cell as f64 / cells as f64, (cell + 1) as f64 / cells as f64);
            start >= from - 1e-9 && end <= from + length + 1e-9
        };
        inside(row, rows, self.top, self.height) && inside(column, columns, self.left, self.width)
    }
}

/// The part of a picture that a generator is to complete: of ordered codes the first `keep` (half of them where absent), of a
/// grid the cells inside `region` (the upper half where absent).
///
/// # Errors
/// [`Error::Unfit`] for a count on a grid, a region on ordered codes, or a part that holds nothing or everything; others if
/// the picture cannot be encoded.
pub fn given_part(
    codec: &Codec,
    picture: &Picture,
    keep: Option<usize>,
    region: Option<Region>,
    device: &Device,
) -> Result<Given, Error> {
    let side = u32::try_from(codec.side()).unwrap_or(u32::MAX);
    let square = Preprocess::square(side, Filter::Bicubic).apply(picture)?;
    let codes = codec.encode(&Input::Images(to_tensor(&[square], device)))?;
    let layout = match &codes {
        Generated::Tokens(tokens) => tokens.layout().clone(),
        Generated::Latents(latents) => latents.layout.clone(),
        _ => return Err(Error::NoPictures),
    };
    let positions = layout.positions();
    let kept: Vec<bool> = match (&layout, keep, region) {
        (TokenLayout::Grid { height, width }, None, region) => {
            let [rows, columns] = [*height, *width].map(|side| usize::try_from(side).unwrap_or(1).max(1));
            let region = region.unwrap_or(Region::UPPER_HALF);
            (0..positions).map(|at| region.holds([at / columns, at % columns], [rows, columns])).collect()
        }
        (TokenLayout::Ordered { .. } | TokenLayout::Scales { .. }, keep, None) => {
            let keep = keep.unwrap_or(positions / 2);
            (0..positions).map(|at| at < keep).collect()
        }
        (TokenLayout::Grid { .. }, Some(_), _) => {
            return Err(Error::Unfit("codes of a grid have no leading tokens: say which region stays".to_owned()));
        }
        _ => return Err(Error::Unfit("ordered codes have no regions: say how many leading tokens stay".to_owned())),
    };
    let count = kept.iter().filter(|kept| **kept).count();
    if count == 0 || count == positions {
        let expected = format!("a part of the picture's {positions} positions");
        return Err(Error::Unfit(format!(
            "expected {expected} to stay, found {count}: nothing would be left to complete"
        )));
    }
    Ok(match codes {
        Generated::Latents(latents) => Given::Latents(latents, kept),
        Generated::Tokens(tokens) => {
            Given::Tokens(tokens.with_kept(kept).map_err(tessera_tokenizers::TokenizerError::from)?)
        }
        _ => return Err(Error::NoPictures),
    })
}

/// What a generator of `samples` samples has decided at a step, to be decoded: a prefix of ordered tokens, or latents.
///
/// # Errors
/// [`Error::Unfit`] where a part cannot be decoded: codes of a grid are needed all at once.
pub fn so_far(step: &Step<'_>, info: &GeneratorInfo, samples: usize) -> Result<Generated, Error> {
    if let Some(vectors) = step.latents() {
        return Ok(Generated::Latents(Latents { vectors, layout: info.layout.clone() }));
    }
    let (Content::Codes { vocab }, TokenLayout::Ordered { .. } | TokenLayout::Scales { .. }) =
        (&info.content, &info.layout)
    else {
        let layout = &info.layout;
        return Err(Error::Unfit(format!(
            "pictures of unfinished samples need ordered tokens, scales or latents, these are codes of a {layout}: leave out \
             --preview"
        )));
    };
    let ids = step.ids()?;
    let kept = ids.iter().map(Option::is_some).collect();
    let ids = ids.into_iter().map(Option::unwrap_or_default).collect();
    let fingerprint = info.tokenizer.unwrap_or(Fingerprint([0; 32]));
    let tokens = Tokens::new(ids, samples, info.layout.clone(), vocab.clone(), fingerprint);
    let tokens = tokens.and_then(|tokens| tokens.with_kept(kept)).map_err(tessera_tokenizers::TokenizerError::from)?;
    Ok(Generated::Tokens(tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_hold_whole_cells() {
        let cells =
            |region: Region| -> Vec<usize> { (0..16).filter(|at| region.holds([at / 4, at % 4], [4, 4])).collect() };
        assert_eq!(cells(Region::UPPER_HALF), [0, 1, 2, 3, 4, 5, 6, 7]);
        let middle = Region::of_hundredths([25.0, 20.0, 50.0, 40.0]).unwrap();
        assert_eq!(cells(middle), [5, 6], "a row that is cut through does not stay");
        for wrong in
            [[0.0, 0.0, 0.0, 50.0], [60.0, 0.0, 50.0, 50.0], [-1.0, 0.0, 50.0, 50.0], [f64::NAN, 0.0, 1.0, 1.0]]
        {
            assert!(Region::of_hundredths(wrong).is_none());
        }
    }
}
